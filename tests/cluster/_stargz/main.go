// The daemon of the stargz snapshotter, with flags and settings of the real one, as far as the tests
// need them. Debian packages its code without the program, and without a module that its own
// service needs: `sourceFromCRILabels` comes from there as it stands (see build.py).
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"net/http"
	"os"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/contrib/snapshotservice"
	"github.com/containerd/containerd/reference"
	"github.com/containerd/containerd/remotes/docker"
	"github.com/containerd/stargz-snapshotter/fs"
	"github.com/containerd/stargz-snapshotter/fs/config"
	"github.com/containerd/stargz-snapshotter/snapshot"
	"github.com/pelletier/go-toml"
	"google.golang.org/grpc"
)

type settings struct {
	config.Config
	Resolver struct {
		Host map[string]struct {
			Mirrors []struct {
				Insecure bool `toml:"insecure"`
			} `toml:"mirrors"`
		} `toml:"host"`
	} `toml:"resolver"`
}

func (own settings) isPlain(host string) (bool, error) {
	for _, mirror := range own.Resolver.Host[host].Mirrors {
		if mirror.Insecure {
			return true, nil
		}
	}
	return docker.MatchLocalhost(host)
}

func (own settings) hosts(spec reference.Spec) ([]docker.RegistryHost, error) {
	// The snapshotter wraps the transport and cannot do with the default one, which is nil.
	client := &http.Client{Transport: http.DefaultTransport}
	return docker.ConfigureDefaultRegistries(
		docker.WithPlainHTTP(own.isPlain),
		docker.WithClient(client),
	)(spec.Hostname())
}

func main() {
	address := flag.String("address", "", "socket")
	root := flag.String("root", "", "folder")
	path := flag.String("config", "/etc/containerd-stargz-grpc/config.toml", "settings in TOML")
	flag.Parse()
	var own settings
	text, err := os.ReadFile(*path)
	if err == nil {
		if err := toml.Unmarshal(text, &own); err != nil {
			log.Fatal(err)
		}
	}
	filesystem, err := fs.NewFilesystem(
		*root+"/stargz", own.Config, fs.WithGetSources(sourceFromCRILabels(own.hosts)))
	if err != nil {
		log.Fatal(err)
	}
	snapshotter, err := snapshot.NewSnapshotter(
		context.Background(), *root+"/snapshotter", filesystem, snapshot.AsynchronousRemove)
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
