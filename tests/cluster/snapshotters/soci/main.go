// The daemon of the SOCI snapshotter: its own service, with flags and settings of the real program,
// whose source is a module that cannot be depended on.
package main

import (
	"context"
	"flag"
	"log"

	"github.com/awslabs/soci-snapshotter/config"
	"github.com/awslabs/soci-snapshotter/fs"
	"github.com/awslabs/soci-snapshotter/metadata"
	"github.com/awslabs/soci-snapshotter/service"
	"github.com/awslabs/soci-snapshotter/service/keychain/dockerconfig"
	"pullstudy.test/snapshotters/daemon"
)

func main() {
	address := flag.String("address", "", "socket")
	root := flag.String("root", config.DefaultSociSnapshotterRootPath, "folder")
	path := flag.String("config", config.DefaultConfigPath, "settings in TOML")
	flag.Parse()
	ctx := context.Background()
	own, err := config.NewConfigFromToml(*path)
	if err != nil {
		log.Fatal(err)
	}
	store := metadata.NewMultiReader(*root+"/metadata", metadata.DBMultiOptions{})
	snapshotter, err := service.NewSociSnapshotterService(
		ctx, *root, &own.ServiceConfig,
		service.WithCredsFuncs(dockerconfig.NewDockerConfigKeychain(ctx)),
		service.WithFilesystemOptions(fs.WithMetadataStore(store)))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(daemon.Serve(*address, snapshotter))
}
