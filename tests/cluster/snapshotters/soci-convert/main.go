// Makes a SOCI-enabled image of one in an OCI image layout, as `soci convert --standalone` does, and
// says the digest of its index.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"

	"github.com/awslabs/soci-snapshotter/soci"
	"github.com/awslabs/soci-snapshotter/soci/store"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func main() {
	layout := flag.String("layout", "", "folder in the OCI image layout")
	manifest := flag.String("manifest", "", "digest of the image's manifest")
	database := flag.String("database", "", "file for notes")
	flag.Parse()
	ctx := context.Background()
	content, err := local.NewStore(*layout)
	check(err)
	blobs, err := store.NewSociStore(*layout)
	check(err)
	notes, err := soci.NewDB(*database)
	check(err)
	builder, err := soci.NewIndexBuilder(content, blobs, soci.WithArtifactsDb(notes), soci.WithMinLayerSize(0))
	check(err)
	info, err := os.Stat(*layout + "/blobs/sha256/" + digest.Digest(*manifest).Encoded())
	check(err)
	image := images.Image{Name: "image", Target: ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: digest.Digest(*manifest), Size: info.Size(),
	}}
	index, err := builder.Convert(ctx, image, soci.ConvertWithNoGarbageCollectionLabels())
	check(err)
	fmt.Println(index.Digest)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
