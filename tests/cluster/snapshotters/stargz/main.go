// The daemon of the stargz snapshotter: its own service, with flags and settings of the real program,
// whose source is a module that cannot be depended on.
package main

import (
	"context"
	"flag"
	"log"
	"os"

	"github.com/containerd/stargz-snapshotter/service"
	"github.com/containerd/stargz-snapshotter/service/keychain/dockerconfig"
	"github.com/pelletier/go-toml"
	"pullstudy.test/snapshotters/daemon"
)

func main() {
	address := flag.String("address", "", "socket")
	root := flag.String("root", "", "folder")
	path := flag.String("config", "/etc/containerd-stargz-grpc/config.toml", "settings in TOML")
	flag.Parse()
	var own service.Config
	text, err := os.ReadFile(*path)
	if err == nil {
		if err := toml.Unmarshal(text, &own); err != nil {
			log.Fatal(err)
		}
	}
	ctx := context.Background()
	snapshotter, err := service.NewStargzSnapshotterService(
		ctx, *root, &own,
		service.WithCredsFuncs(dockerconfig.NewDockerconfigKeychain(ctx)))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(daemon.Serve(*address, snapshotter))
}
