package weights

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

// goldenFile is what PyTorch or safetensors reads from a file of testdata; see tools/golden/weights/generate.py.
type goldenFile struct {
	Format    string            `json:"format"`
	StateDict string            `json:"state_dict"`
	Metadata  map[string]string `json:"metadata"`
	Tensors   map[string]struct {
		DType         string    `json:"dtype"`
		Shape         []int     `json:"shape"`
		Float32SHA256 *string   `json:"float32_sha256"`
		Values        []float64 `json:"values"`
	} `json:"tensors"`
}

func readJSON(t testing.TB, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func goldenFiles(t testing.TB) map[string]goldenFile {
	t.Helper()
	var files map[string]goldenFile
	readJSON(t, "files.json", &files)
	if len(files) < 30 {
		t.Fatalf("files.json: want at least 30 files, got %d", len(files))
	}
	return files
}

// sum hashes float32 values as their little-endian bytes.
func sum(tensors ...*graph.Tensor) string {
	h := sha256.New()
	for _, x := range tensors {
		h.Write(x.Data)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func TestReadsWhatPyTorchReads(t *testing.T) {
	for name, want := range goldenFiles(t) {
		t.Run(name, func(t *testing.T) {
			f, err := Options{StateDict: want.StateDict}.Open(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if f.Format() != want.Format {
				t.Errorf("format: got %s, want %s", f.Format(), want.Format)
			}
			if !maps.Equal(f.Metadata(), want.Metadata) {
				t.Errorf("metadata: got %v, want %v", f.Metadata(), want.Metadata)
			}
			if got, want := f.Names(), slices.Sorted(maps.Keys(want.Tensors)); !slices.Equal(got, want) {
				t.Fatalf("names: got %v, want %v", got, want)
			}
			for n := range want.Tensors {
				checkTensor(t, f, n, want)
			}
		})
	}
}

func checkTensor(t *testing.T, f *File, name string, golden goldenFile) {
	t.Helper()
	want := golden.Tensors[name]
	shape := graph.NewShape(want.Shape...)
	info, ok := f.Info(name)
	if !ok || info.Name != name || info.DType != want.DType || info.Shape != shape {
		t.Errorf("%s: info: got %+v, want %s%v", name, info, want.DType, shape)
	}
	x, err := f.Tensor(name)
	switch {
	case want.Float32SHA256 == nil:
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), want.DType) {
			t.Errorf("%s: want an error that names the tensor and %s, got %v", name, want.DType, err)
		}
	case err != nil:
		t.Error(err)
	case x.Type != (graph.TensorType{DType: graph.Float32, Shape: shape}):
		t.Errorf("%s: got %v, want float32%v", name, x.Type, shape)
	case sum(x) != *want.Float32SHA256:
		t.Errorf("%s: the float32 values differ from PyTorch's: got %v, from %v", name, x.Float32s(), want.Values)
	}
	values, err := f.Float64s(name)
	if want.Values == nil {
		if err == nil {
			t.Errorf("%s: float64: want an error for %s", name, want.DType)
		}
		return
	}
	if err != nil || !slices.EqualFunc(values, want.Values, func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }) {
		t.Errorf("%s: float64: got %v (%v), want %v", name, values, err, want.Values)
	}
}

// Every file must be read the same from memory, and every tensor's place must be inside the file.
func TestOpenBytes(t *testing.T) {
	for name, want := range goldenFiles(t) {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		f, err := Options{StateDict: want.StateDict}.OpenBytes(name, data)
		if err != nil {
			t.Fatal(err)
		}
		for n := range want.Tensors {
			info, _ := f.Info(n)
			compressed := name == "deflated.zip.pth"
			if compressed != (info.Offset == -1) || info.Offset > int64(len(data)) {
				t.Errorf("%s: %s: offset %d in a file of %d bytes", name, n, info.Offset, len(data))
			}
			x, err := f.Tensor(n)
			if sha := want.Tensors[n].Float32SHA256; sha != nil && (err != nil || sum(x) != *sha) {
				t.Errorf("%s: %s: differs from PyTorch's (%v)", name, n, err)
			}
		}
	}
}

// sharedWeights returns the folder with the published CIFAR-10 networks, which is beside the repository on some machines.
func sharedWeights(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	w := filepath.Join(dir, "..", "shared", "data", "weights")
	if _, err := os.Stat(w); err != nil {
		t.Skipf("the published networks are not here: %v", err)
	}
	return w
}

// The published akamaster networks: legacy pickles of an old PyTorch on a GPU, wrapped, with "module." prefixes.
func TestPublishedNetworks(t *testing.T) {
	dir := sharedWeights(t)
	var golden map[string]struct {
		SHA256  string `json:"float32_sha256"`
		Tensors int    `json:"tensors"`
	}
	readJSON(t, "published.json", &golden)
	for file, params := range map[string]int{
		"resnet20-12fca82f.th": 269722, "resnet32-d509ac18.th": 464154,
		"resnet44-014dd654.th": 658586, "resnet56-4bfd9763.th": 853018,
	} {
		t.Run(file, func(t *testing.T) {
			f, err := Open(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if f.Format() != FormatPyTorchLegacy {
				t.Errorf("format: got %s, want %s", f.Format(), FormatPyTorchLegacy)
			}
			names, err := Canonical(f.Shapes())
			if err != nil {
				t.Fatal(err)
			}
			if names.Scheme != SchemeCIFAR || names.Prefix != "module." {
				t.Errorf("names: got scheme %s with prefix %q, want cifar with module.", names.Scheme, names.Prefix)
			}
			if names.ToFile["fc.weight"] != "module.linear.weight" {
				t.Errorf("fc.weight: got %q, want module.linear.weight", names.ToFile["fc.weight"])
			}
			got, all := 0, []*graph.Tensor{}
			for _, name := range f.Names() {
				x, err := f.Tensor(name)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, x)
				if !strings.Contains(name, "running_") {
					got += len(x.Float32s())
				}
			}
			if got != params {
				t.Errorf("parameters: got %d, want %d", got, params)
			}
			if want := golden[file]; len(all) != want.Tensors || sum(all...) != want.SHA256 {
				t.Errorf("values: got %d tensors with hash %s, want %d with %s", len(all), sum(all...), want.Tensors, want.SHA256)
			}
		})
	}
}

// Every float16, against the definition in IEEE 754.
func TestHalf(t *testing.T) {
	for i := range 1 << 16 {
		exp, frac := i>>10&31, float64(i&1023)
		want := math.Ldexp(1024+frac, exp-25)
		switch {
		case exp == 0:
			want = math.Ldexp(frac, -24)
		case exp == 31 && frac == 0:
			want = math.Inf(1)
		case exp == 31:
			want = math.NaN()
		}
		if i >= 1<<15 {
			want = -want
		}
		got := halfToFloat64(uint16(i))
		if math.IsNaN(want) && math.IsNaN(got) {
			continue
		}
		if math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("0x%04x: got %v, want %v", i, got, want)
		}
	}
}
