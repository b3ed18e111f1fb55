// The daemon of the stargz snapshotter: its own service, with flags and settings of the real program,
// whose source is a module that cannot be depended on.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"os"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/v2/contrib/snapshotservice"
	"github.com/containerd/stargz-snapshotter/service"
	"github.com/containerd/stargz-snapshotter/service/keychain/dockerconfig"
	"github.com/pelletier/go-toml"
	"google.golang.org/grpc"
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
	os.Remove(*address)
	listener, err := net.Listen("unix", *address)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	snapshotsapi.RegisterSnapshotsServer(server, snapshotservice.FromSnapshotter(snapshotter))
	log.Fatal(server.Serve(listener))
}
