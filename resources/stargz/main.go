// Serves the stargz snapshotter on a socket: Debian packages its code, but not its daemon.
// Usage: snapshotter ROOT SOCKET [HOST of a registry that is asked over plain HTTP]
package main

import (
	"context"
	"log"
	"net"
	"net/http"
	"os"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/contrib/snapshotservice"
	"github.com/containerd/containerd/reference"
	"github.com/containerd/containerd/remotes/docker"
	stargzfs "github.com/containerd/stargz-snapshotter/fs"
	"github.com/containerd/stargz-snapshotter/fs/config"
	"github.com/containerd/stargz-snapshotter/fs/source"
	"github.com/containerd/stargz-snapshotter/snapshot"
	"google.golang.org/grpc"
)

// Hosts are asked over plain HTTP when they are on this machine, or the one of the command line.
func isPlain(host string) (bool, error) {
	if len(os.Args) > 3 && host == os.Args[3] {
		return true, nil
	}
	return docker.MatchLocalhost(host)
}

func hosts(spec reference.Spec) ([]docker.RegistryHost, error) {
	// The snapshotter wraps the transport and cannot do with the default one, which is nil.
	client := &http.Client{Transport: http.DefaultTransport}
	return docker.ConfigureDefaultRegistries(
		docker.WithPlainHTTP(isPlain),
		docker.WithClient(client),
	)(spec.Hostname())
}

func main() {
	root, socket := os.Args[1], os.Args[2]
	// Nothing is fetched that nobody reads: what a run needs can then be counted.
	settings := config.Config{NoPrefetch: true, NoBackgroundFetch: true, NoPrometheus: true}
	fs, err := stargzfs.NewFilesystem(
		root+"/fs", settings, stargzfs.WithGetSources(source.FromDefaultLabels(hosts)))
	if err != nil {
		log.Fatal(err)
	}
	snapshotter, err := snapshot.NewSnapshotter(
		context.Background(), root+"/snapshotter", fs, snapshot.AsynchronousRemove)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	snapshotsapi.RegisterSnapshotsServer(server, snapshotservice.FromSnapshotter(snapshotter))
	log.Fatal(server.Serve(listener))
}
