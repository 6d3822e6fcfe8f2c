package vulkan

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/graph/weights"
	"github.com/resnet-run/resnet-run/internal/backendtest"
	"github.com/resnet-run/resnet-run/internal/golden"
	"github.com/resnet-run/resnet-run/internal/imaging"
)

// top1 is testdata/golden/cifar-top1.json, made by tools/golden/cifar/top1.py.
type top1 struct {
	Pictures int                    `json:"pictures"`
	Pixels   string                 `json:"pixels"`
	Networks map[string]top1Network `json:"networks"`
}

type top1Network struct {
	File    string `json:"file"`
	Correct int    `json:"correct"`
	Top1    string `json:"top1"`
	Close   []struct {
		Index int `json:"index"`
	} `json:"close"`
}

// TestPublishedNetworksAgreeWithPyTorch compares the top-1 class of CIFAR-10 test pictures, network by network. It needs
// the pictures and the published weights, which are too large for the repository and lie beside the checkout for those
// who have them. Twenty pictures are compared with three networks, a hundred with six when tests are thorough; all 10,000 with RESNET_RUN_FULL=1.
func TestPublishedNetworksAgreeWithPyTorch(t *testing.T) {
	data, err := golden.Published()
	if err != nil {
		t.Skip("needs", err)
	}
	var want top1
	dir, err := golden.Dir()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "cifar-top1.json"))
	if err == nil {
		err = json.Unmarshal(raw, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	pictures, labels := cifarPictures(t, filepath.Join(data, "cifar10", "test.tar.gz"), want)
	full := os.Getenv("RESNET_RUN_FULL")
	for i, run := range []struct {
		name      string
		precision Precision
	}{{"resnet20", Float32}, {"resnet56", Float32}, {"resnet20", Half}, {"resnet32", Float32}, {"resnet44", Float32}, {"resnet56", Half}} {
		if i >= 3 && !backendtest.Thorough() {
			break
		}
		name := run.name
		n := want.Networks[name]
		t.Run(name+"/"+run.precision.String(), func(t *testing.T) {
			eachDevice(t, Options{Precision: run.precision}, func(t *testing.T, d *device) {
				count, batch := 100/backendtest.OneIn(5), 50/backendtest.OneIn(5)
				if full != "" {
					count, batch = len(pictures), 250
					if full != "all" && !strings.Contains(d.info.Name, "llvmpipe") {
						t.Skip("all pictures on this device only with RESNET_RUN_FULL=all: it takes long")
					}
				}
				g := publishedNetwork(t, filepath.Join(data, "weights", n.File), name+"-cifar", batch)
				tolerance := float32(0)
				if run.precision == Half {
					tolerance = 0.01 // the error of the logits is some 1e-3 of them
				}
				compareTop1(t, d, g, n, pictures, labels, count, batch, tolerance)
			})
		})
	}
}

// compareTop1 compares with PyTorch's classes. Another class is let pass for a picture that PyTorch's own float32 has close, or whose logits of both classes
// are within tolerance times the greatest.
func compareTop1(t *testing.T, d *device, g *graph.Graph, n top1Network, pictures [][]float32, labels []int, count, batch int, tolerance float32) {
	t.Helper()
	isClose := map[int]bool{}
	for _, c := range n.Close {
		isClose[c.Index] = true
	}
	// Spread over the whole set, so that every class takes part when not all pictures do.
	stride := len(pictures) / count
	all, err := d.Compile(context.Background(), g)
	if err != nil {
		t.Fatal(err)
	}
	in, out := newBuffers(t, d, all.Signature())
	correct, differ, skipped := 0, 0, 0
	for at := 0; at < count; at += batch {
		x := make([]float32, 0, batch*3*32*32)
		for i := at; i < at+batch; i++ {
			x = append(x, pictures[i*stride]...)
		}
		writeFloats(t, in[0], x)
		if err := all.Run(context.Background(), in, out); err != nil {
			t.Fatal(err)
		}
		logits := readFloats(t, out[0])
		for i := range batch {
			index := (at + i) * stride
			row := logits[10*i : 10*i+10]
			got, theirs := argmax(row), int(n.Top1[index]-'0')
			if got == labels[index] {
				correct++
			}
			if got != theirs {
				if isClose[index] || row[got]-row[theirs] < tolerance*row[got] {
					skipped++
					continue
				}
				differ++
				t.Errorf("picture %d: got class %d, PyTorch %c", index, got, n.Top1[index])
			}
		}
	}
	t.Logf("%d pictures: %.2f %% correct, %d differ from PyTorch, %d more where it is close",
		count, 100*float64(correct)/float64(count), differ, skipped)
	if stride == 1 && differ+skipped == 0 && correct != n.Correct {
		t.Errorf("got %d correct, want %d as PyTorch", correct, n.Correct)
	}
}

func argmax(v []float32) int {
	best := 0
	for i, x := range v {
		if x > v[best] {
			best = i
		}
	}
	return best
}

func publishedNetwork(t *testing.T, file, arch string, batch int) *graph.Graph {
	t.Helper()
	f, err := weights.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	names, err := weights.Canonical(f.Shapes())
	if err != nil {
		t.Fatal(err)
	}
	shapes := map[string]graph.Shape{}
	tensors := map[string]*graph.Tensor{}
	for canonical, name := range names.ToFile {
		shapes[canonical] = f.Shapes()[name]
		if tensors[canonical], err = f.Tensor(name); err != nil {
			t.Fatal(err)
		}
	}
	c, err := resnet.Detect(shapes, resnet.DetectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != arch {
		t.Fatalf("%s is detected as %q, want %q", file, c.Name, arch)
	}
	g, err := c.Build(batch, 32, 32)
	if err == nil {
		g, err = g.Bind(tensors)
	}
	if err == nil {
		g, err = pass.Run(g, pass.Default())
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// cifarPictures decodes the test set in the order of the file names, checks that the pixels are those that PyTorch
// was given, and normalises them.
func cifarPictures(t *testing.T, file string, want top1) ([][]float32, []int) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	zr, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	type item struct {
		name string
		rgb  *imaging.RGB
	}
	var items []item
	folders := map[string]bool{}
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		rgb, err := imaging.Decode(tr, h.Name, imaging.DecodeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		class := path.Base(path.Dir(h.Name))
		folders[class] = true
		items = append(items, item{class + "/" + path.Base(h.Name), rgb})
	}
	sort.Slice(items, func(i, j int) bool { return items[i].name < items[j].name })
	classes := make([]string, 0, len(folders))
	for c := range folders {
		classes = append(classes, c)
	}
	sort.Strings(classes)
	sum := sha256.New()
	p := imaging.Preprocess{Mean: [3]float32{0.485, 0.456, 0.406}, Std: [3]float32{0.229, 0.224, 0.225}, Interpolation: imaging.Bilinear}
	var pictures [][]float32
	var labels []int
	for _, it := range items {
		sum.Write(it.rgb.Pix)
		x := make([]float32, 3*32*32)
		if err := p.Apply(it.rgb, x); err != nil {
			t.Fatal(err)
		}
		pictures = append(pictures, x)
		class, _, _ := strings.Cut(it.name, "/")
		labels = append(labels, sort.SearchStrings(classes, class))
	}
	if got := hex.EncodeToString(sum.Sum(nil)); len(items) != want.Pictures || got != want.Pixels {
		t.Fatalf("decoded %d pictures with checksum %s, want %d with %s: not the pixels that PyTorch was given", len(items), got, want.Pictures, want.Pixels)
	}
	return pictures, labels
}
