// Package modeltest makes a tiny network and pictures for tests of everything above the backends: a network that names
// the colour of a picture, with logits that can be worked out by hand.
package modeltest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/resnet"
)

// Labels are the classes of the colour network.
var Labels = []string{"red", "green", "blue"}

// Scale is the logit of a picture that has nothing but the colour of the class.
const Scale = 4

// Config is the colour network: a 3×3 stem and one basic block, for pictures of 8×8.
func Config() resnet.Config {
	return resnet.Config{
		Name: "colour", Block: resnet.Basic, Depths: [resnet.MaxStages]int{1}, Widths: [resnet.MaxStages]int{4}, StemWidth: 4,
		Stem: resnet.CIFARStem, Shortcut: resnet.Projection, Groups: 1, WidthPerGroup: 64,
		InChannels: 3, Classes: 3, InputSize: 8, Epsilon: 1e-5,
	}
}

// Metadata is what the header of the colour network's file holds.
func Metadata() map[string]string {
	labels, err := json.Marshal(Labels)
	if err != nil {
		panic(err)
	}
	return map[string]string{
		"labels":     string(labels),
		"preprocess": `{"resize": 8, "crop": 8, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bilinear"}`,
	}
}

// Tensors are the weights of the colour network: the stem copies the three colours, the block adds nothing, and the
// linear layer multiplies the mean of each colour's positive part by Scale.
func Tensors(t testing.TB) map[string]*graph.Tensor {
	t.Helper()
	g, err := Config().Build(1, 8, 8)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*graph.Tensor{}
	for _, p := range g.Params {
		data := make([]float32, p.Type.Shape.Elems())
		switch {
		case p.Name == "conv1.weight": // [4,3,3,3]
			for c := range 3 {
				data[(c*3+c)*9+4] = 1
			}
		case p.Name == "fc.weight": // [3,4]
			for c := range 3 {
				data[c*4+c] = Scale
			}
		case strings.HasSuffix(p.Name, ".running_var"):
			for i := range data {
				data[i] = 1 - 1e-5
			}
		case strings.Contains(p.Name, "bn") && strings.HasSuffix(p.Name, ".weight"):
			for i := range data {
				data[i] = 1
			}
		}
		if all[p.Name], err = graph.FromFloat32s(p.Type.Shape, data); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// Safetensors is a file of the tensors in the safetensors format.
func Safetensors(t testing.TB, tensors map[string]*graph.Tensor, metadata map[string]string) []byte {
	t.Helper()
	header := map[string]any{}
	if metadata != nil {
		header["__metadata__"] = metadata
	}
	var names []string
	for n := range tensors {
		names = append(names, n)
	}
	slices.Sort(names)
	var data []byte
	for _, n := range names {
		start := len(data)
		data = append(data, tensors[n].Data...)
		header[n] = map[string]any{"dtype": "F32", "shape": tensors[n].Type.Shape.Dims(), "data_offsets": []int{start, len(data)}}
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text, data)
}

// WriteModel writes the colour network to dir/colour.safetensors and returns the path.
func WriteModel(t testing.TB, dir string) string {
	t.Helper()
	return WriteFile(t, filepath.Join(dir, "colour.safetensors"), Safetensors(t, Tensors(t), Metadata()))
}

// WriteNaNModel is [WriteModel] for a network whose logits overflow: its weights are finite, its results are not.
func WriteNaNModel(t testing.TB, dir string) string {
	t.Helper()
	tensors := Tensors(t)
	huge := make([]float32, 12)
	for i := range huge {
		huge[i] = math.MaxFloat32
	}
	var err error
	if tensors["fc.weight"], err = graph.FromFloat32s(graph.NewShape(3, 4), huge); err != nil {
		t.Fatal(err)
	}
	bias := []float32{math.MaxFloat32, math.MaxFloat32, math.MaxFloat32}
	if tensors["fc.bias"], err = graph.FromFloat32s(graph.NewShape(3), bias); err != nil {
		t.Fatal(err)
	}
	return WriteFile(t, filepath.Join(dir, "overflow.safetensors"), Safetensors(t, tensors, Metadata()))
}

// WriteManyClasses writes dir/many.safetensors, the colour network for that many classes without names, and returns the path. The first three
// are the colours, the others have a logit of 0.
func WriteManyClasses(t testing.TB, dir string, classes int) string {
	t.Helper()
	tensors := Tensors(t)
	weights := make([]float32, 4*classes)
	copy(weights, tensors["fc.weight"].Float32s())
	var err error
	if tensors["fc.weight"], err = graph.FromFloat32s(graph.NewShape(classes, 4), weights); err != nil {
		t.Fatal(err)
	}
	if tensors["fc.bias"], err = graph.FromFloat32s(graph.NewShape(classes), make([]float32, classes)); err != nil {
		t.Fatal(err)
	}
	meta := Metadata()
	delete(meta, "labels")
	return WriteFile(t, filepath.Join(dir, "many.safetensors"), Safetensors(t, tensors, meta))
}

// Red, Green and Blue are colours that the network is sure of.
var (
	Red   = color.RGBA{255, 0, 0, 255}
	Green = color.RGBA{0, 255, 0, 255}
	Blue  = color.RGBA{0, 0, 255, 255}
)

// PNG is a picture of one colour.
func PNG(t testing.TB, c color.Color, width, height int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.Set(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// WriteFile writes a file, making its folder, and returns its path.
func WriteFile(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// WritePictures writes red.png, green.png and blue.png, of different sizes, to dir.
func WritePictures(t testing.TB, dir string) {
	t.Helper()
	WriteFile(t, filepath.Join(dir, "red.png"), PNG(t, Red, 8, 8))
	WriteFile(t, filepath.Join(dir, "green.png"), PNG(t, Green, 20, 13))
	WriteFile(t, filepath.Join(dir, "blue.png"), PNG(t, Blue, 5, 9))
}
