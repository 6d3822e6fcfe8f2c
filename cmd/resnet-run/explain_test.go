package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/internal/model/modeltest"
)

// halves is a picture that is red on the left and green on the right.
func halves(t *testing.T, w, h int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := modeltest.Red
			if 2*x >= w {
				c = modeltest.Green
			}
			img.Set(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// explained is an object of explain's JSON, with the keys that cmd/resnet-run/README.md documents.
type explained struct {
	Image         string
	Width, Height int
	Seen          struct{ Left, Top, Right, Bottom float64 }
	Classes       []struct {
		Index              int
		Label              string
		Probability, Logit float64
		Map                [][]float64
		Peak               [2]int
		File               string
	}
	Model, Backend, Device string
	Error                  *string
}

// TestExplainFindsColoursWhereTheyAre: the map of red is that of the left half, four for each place there and nothing elsewhere, since the
// colour network gives a place of red a logit of four.
func TestExplainFindsColoursWhereTheyAre(t *testing.T) {
	world(t)
	modeltest.WriteFile(t, "halves.png", halves(t, 8, 8))
	o := do(t, "explain", "-m", "colour.safetensors", "-f", "json", "--class", "GREEN", "--class", "0", "halves.png")
	var got []explained
	d := json.NewDecoder(strings.NewReader(o.stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil || o.code != exitOK || len(got) != 1 || len(got[0].Classes) != 2 {
		t.Fatalf("%v in %+v", err, o)
	}
	e := got[0]
	if e.Width != 8 || e.Height != 8 || e.Seen.Left != 0 || e.Seen.Bottom != 1 || e.Error != nil || e.Backend != "reference" || e.Model != "colour.safetensors" {
		t.Errorf("got %+v", e)
	}
	for i, want := range []struct {
		label string
		from  int // the first column of that colour
		peak  [2]int
	}{{"green", 4, [2]int{4, 0}}, {"red", 0, [2]int{0, 0}}} {
		c := e.Classes[i]
		if c.Label != want.label || c.Peak != want.peak || c.File != "" || len(c.Map) != 8 {
			t.Errorf("class %d: got %+v", i, c)
		}
		mean := 0.0
		for _, row := range c.Map {
			for x, v := range row {
				mean += v / 64
				if hot := x >= want.from && x < want.from+4; hot != (v > 3) || !hot && v != 0 {
					t.Errorf("%s: column %d has %v", want.label, x, v)
				}
			}
		}
		if math.Abs(mean-c.Logit) > 1e-6 || math.Abs(c.Logit-modeltest.Scale/2) > 1e-6 {
			t.Errorf("%s: the mean of the map is %v, the logit %v, want %v", want.label, mean, c.Logit, modeltest.Scale/2)
		}
	}
	if entries, err := os.ReadDir(explainFolder); err == nil {
		t.Errorf("files were written without --out: %v", entries)
	}
}

// TestExplainDrawsOnTheWholePicture: of a wide picture the network sees the middle, and the rest is dark.
func TestExplainDrawsOnTheWholePicture(t *testing.T) {
	world(t)
	modeltest.WriteFile(t, "a/wide.png", halves(t, 160, 40))
	modeltest.WriteFile(t, "b/wide.png", halves(t, 40, 40))
	o := do(t, "explain", "-m", "colour.safetensors", "--size", "64", "--class", "red", "a/wide.png", "b/wide.png", "bad.jpg")
	if o.code != exitInput || !strings.Contains(o.stderr, "bad.jpg") || !strings.Contains(o.stderr, "1 of 3 pictures failed") {
		t.Fatalf("got %+v", o)
	}
	first := filepath.Join(explainFolder, "wide.heat.png")
	for _, want := range []string{first, filepath.Join(explainFolder, "wide-2.heat.png"), "IMAGE", "FOUND AT"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("the table lacks %q:\n%s", want, o.stdout)
		}
	}
	// Of 160×40 pixels 40×40 are seen, from 60 on; the first of 8×8 places is 5 pixels wide.
	if !strings.Contains(o.stdout, "62,2") {
		t.Errorf("red is found elsewhere than at 62,2:\n%s", o.stdout)
	}
	data, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil || img.Bounds() != image.Rect(0, 0, 64, 16) {
		t.Fatalf("got %v, %v", img, err)
	}
	sum := func(x int) int {
		c := color.NRGBAModel.Convert(img.At(x, 8)).(color.NRGBA)
		return int(c.R) + int(c.G) + int(c.B)
	}
	if dark, hot, cold := sum(5), sum(27), sum(37); !(dark < cold && cold < hot) {
		t.Errorf("got brightness %d outside, %d on red, %d on green: want red brightest, and outside dark", dark, hot, cold)
	}
	entries, err := os.ReadDir(explainFolder)
	if err != nil || len(entries) != 2 {
		t.Errorf("got %v, %v, want two files and nothing half written", entries, err)
	}
}

func TestExplainPageHasEverything(t *testing.T) {
	world(t)
	data, err := os.ReadFile("pictures/red.png")
	if err != nil {
		t.Fatal(err)
	}
	hostile := "<b>&.png"
	if runtime.GOOS == "windows" { // which has no such names
		hostile = "b&.png"
	}
	modeltest.WriteFile(t, hostile, data)
	o := do(t, "explain", "-m", "colour.safetensors", "-f", "html", "-k", "2", "--out", "maps", hostile, "bad.jpg", "pictures/blue.png")
	if o.code != exitInput {
		t.Fatalf("got %+v", o)
	}
	if n := strings.Count(o.stdout, `src="data:image/jpeg;base64,`); n != 6 {
		t.Errorf("got %d pictures, want two and two maps of each", n)
	}
	for _, want := range []string{strings.NewReplacer("<", "&lt;", ">", "&gt;", "&", "&amp;").Replace(hostile), "decode bad.jpg: jpeg: ", ">red <", ">blue <", "</html>"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(o.stdout, hostile) {
		t.Error("a name is not escaped")
	}
	if m := regexp.MustCompile(`(src|href)="[^d]`).FindString(o.stdout); m != "" {
		t.Errorf("the page needs something beside it: %s", m)
	}
	for _, name := range []string{strings.Replace(hostile, ".", ".red.heat.", 1), "blue.blue.heat.png"} {
		if _, err := os.Stat(filepath.Join("maps", name)); err != nil {
			t.Error(err)
		}
	}
}

// TestEmbedFormatsAgree: the colour network's embedding of a red picture is 1, 0, 0 and what its fourth channel has, 0.
func TestEmbedFormatsAgree(t *testing.T) {
	world(t)
	modeltest.WriteFile(t, "halves.png", halves(t, 8, 8))
	args := []string{"embed", "-m", "colour.safetensors", "pictures/red.png", "bad.jpg", "halves.png", "-f"}
	want := [][]float64{{1, 0, 0, 0}, nil, {0.5, 0.5, 0, 0}}
	near := func(got, want []float64) bool {
		return slices.EqualFunc(got, want, func(g, w float64) bool { return math.Abs(g-w) < 1e-6 })
	}
	type object struct {
		Image                  string
		Embedding              []float64
		Model, Backend, Device string
		Error                  *string
	}
	var list []object
	o := do(t, append(slices.Clone(args), "json")...)
	if err := json.Unmarshal([]byte(o.stdout), &list); err != nil || o.code != exitInput || len(list) != 3 {
		t.Fatalf("%v in %+v", err, o)
	}
	for i, e := range list {
		if (want[i] == nil) != (e.Error != nil) || !near(e.Embedding, want[i]) || e.Backend != "reference" {
			t.Errorf("json: got %+v, want %v", e, want[i])
		}
	}
	o = do(t, append(slices.Clone(args), "csv")...)
	if want := "image,0,1,2,3\npictures/red.png,1,0,0,0\nhalves.png,0.5,0.5,0,0\n"; o.stdout != want {
		t.Errorf("csv: got\n%s\nwant\n%s", o.stdout, want)
	}
	o = do(t, append(slices.Clone(args), "npy")...)
	head, body, _ := strings.Cut(o.stdout, "\n")
	if !strings.HasPrefix(head, "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }") || (len(head)+1)%64 != 0 || len(body) != 3*4*4 {
		t.Fatalf("npy: got %q and %d bytes", head, len(body))
	}
	for i := range want {
		var row []float64
		for j := range 4 {
			row = append(row, float64(math.Float32frombits(binary.LittleEndian.Uint32([]byte(body[16*i+4*j:])))))
		}
		if want[i] != nil && !near(row, want[i]) || want[i] == nil && !math.IsNaN(row[0]+row[3]) {
			t.Errorf("npy: row %d is %v, want %v", i, row, want[i])
		}
	}
	o = do(t, append(slices.Clone(args), "ndjson", "--normalize")...)
	if s := fmt.Sprint(float32(math.Sqrt(0.5))); strings.Count(o.stdout, s) != 2 || strings.Count(o.stdout, "\n") != 3 {
		t.Errorf("ndjson --normalize: want two times %s in three lines, got %s", s, o.stdout)
	}
}

func TestEmbedTellsWhatIsAlike(t *testing.T) {
	world(t)
	modeltest.WriteFile(t, "halves.png", halves(t, 8, 8))
	modeltest.WriteFile(t, "red2.png", modeltest.PNG(t, modeltest.Red, 30, 20))
	modeltest.WriteFile(t, "black.png", modeltest.PNG(t, color.Black, 9, 9)) // whose embedding is 0
	o := do(t, "embed", "-m", "colour.safetensors", "halves.png", "red2.png", "bad.jpg", "pictures/red.png", "black.png")
	want := "IMAGE             MOST SIMILAR      COSINE\n" +
		"halves.png        red2.png          0.7071\n" +
		"red2.png          pictures/red.png  1.0000\n" +
		"pictures/red.png  red2.png          1.0000\n"
	if o.code != exitInput || o.stdout != want || !strings.Contains(o.stderr, "black.png: ") || !strings.Contains(o.stderr, "no direction") {
		t.Errorf("got %+v, want\n%s", o, want)
	}
	if o := do(t, "embed", "-m", "colour.safetensors", "red2.png"); o.code != exitOK || !strings.Contains(o.stdout, "red2.png  none") {
		t.Errorf("one picture: got %+v", o)
	}
}

func TestExplainAndEmbedRefuse(t *testing.T) {
	world(t)
	modeltest.WriteFile(t, "file", []byte("in the way"))
	modeltest.WriteONNXWithoutMean(t, ".")
	for _, c := range []struct {
		code   int
		stderr string
		args   []string
	}{
		{exitUsage, "--topk", []string{"explain", "--topk", "0"}},
		{exitUsage, "want one of them", []string{"explain", "--topk", "2", "--class", "red"}},
		{exitUsage, "--size", []string{"explain", "--size", "5"}},
		{exitUsage, "no label \"re\"; near it are red, green", []string{"explain", "--class", "re"}},
		{exitUsage, "a number of 0 to 2, got \"3\"", []string{"explain", "--class", "3"}},
		{exitUsage, "table|json|ndjson|html", []string{"explain", "--format", "csv"}},
		{exitUsage, "table|json|csv|ndjson|npy", []string{"embed", "--format", "html"}},
		{exitRun, "file", []string{"explain", "--out", "file/in"}},
		{exitUsage, "--size: nothing is drawn", []string{"explain", "--size", "64", "--format", "json"}},
		{exitUsage, "--normalize: the table has no vectors", []string{"embed", "--normalize"}},
		{exitModel, "want the mean over all places before the linear layer", []string{"explain", "-m", "flat.onnx"}},
	} {
		args := append(c.args, "pictures/red.png")
		if !slices.Contains(args, "-m") {
			args = append(args, "-m", "colour.safetensors")
		}
		if o := do(t, args...); o.code != c.code || !strings.Contains(o.stderr, c.stderr) {
			t.Errorf("%v: got %+v, want code %d and %q", args, o, c.code, c.stderr)
		}
	}
	if o := do(t, "embed", "-m", "flat.onnx", "-f", "csv", "pictures/red.png"); o.code != exitOK || !strings.HasPrefix(o.stdout, "image,0,") {
		t.Errorf("a network without a mean has an embedding too: got %+v", o)
	}
}

// TestExplainOverwritesNoPicture, and tells a file that it cannot write as what it is.
func TestExplainOverwritesNoPicture(t *testing.T) {
	world(t)
	red := modeltest.PNG(t, modeltest.Red, 8, 8)
	modeltest.WriteFile(t, "in/a.png", red)
	modeltest.WriteFile(t, "in/a.heat.png", red)
	o := do(t, "explain", "-m", "colour.safetensors", "--out", "in", "in/a.png", "./in/a.heat.png")
	if o.code != exitOK || !strings.Contains(o.stdout, filepath.Join("in", "a-2.heat.png")) || !strings.Contains(o.stdout, filepath.Join("in", "a.heat.heat.png")) {
		t.Errorf("got %+v", o)
	}
	for _, name := range []string{"in/a.png", "in/a.heat.png"} {
		if data, err := os.ReadFile(name); err != nil || !bytes.Equal(data, red) {
			t.Errorf("%s was changed: %v", name, err)
		}
	}
	if runtime.GOOS != "windows" { // through a link too
		if err := os.Symlink("in", "link"); err != nil {
			t.Fatal(err)
		}
		if o := do(t, "explain", "-m", "colour.safetensors", "--out", "link", "in/a.png", "in/a.heat.png"); o.code != exitOK {
			t.Errorf("got %+v", o)
		}
		if data, err := os.ReadFile("in/a.heat.png"); err != nil || !bytes.Equal(data, red) {
			t.Errorf("a picture was changed through a link: %v", err)
		}
	}
	if err := os.MkdirAll("out/a.heat.png/in the way", 0o755); err != nil {
		t.Fatal(err)
	}
	if o := do(t, "explain", "-m", "colour.safetensors", "--out", "out", "in/a.png"); o.code != exitRun || !strings.Contains(o.stderr, "write heat map of in/a.png") {
		t.Errorf("a file that cannot be written: got %+v", o)
	}
}

// TestExplainNumbersThatOverflow: a map that is not finite is an error of the picture.
func TestExplainNumbersThatOverflow(t *testing.T) {
	world(t)
	o := do(t, "explain", "-m", "overflow.safetensors", "-f", "json", "pictures/red.png")
	if o.code != exitInput || !strings.Contains(o.stdout, `"classes":[]`) || !strings.Contains(o.stdout, "finite") {
		t.Errorf("got %+v", o)
	}
}

// TestClassMapsOfALazyFile: weights that are read from a mapped file when they are packed are so for the maps too.
func TestClassMapsOfALazyFile(t *testing.T) {
	world(t)
	o := do(t, "explain", "-m", "colour.onnx", "-f", "json", "--class", "red", "pictures/red.png")
	var got []explained
	if err := json.Unmarshal([]byte(o.stdout), &got); err != nil || len(got) != 1 || got[0].Classes[0].Map[3][4] != modeltest.Scale {
		t.Errorf("%v in %+v", err, o)
	}
}

// TestExplainedPicturesInTheDocuments holds the heat maps that README.md shows against the program's.
func TestExplainedPicturesInTheDocuments(t *testing.T) {
	t.Chdir("../..")
	dir := t.TempDir()
	if *update {
		dir = "docs/explained"
	}
	if o := do(t, "explain", "--size", "320", "--out", dir, "photos/cat.jpg", "photos/moose.jpg"); o.code != exitOK {
		t.Fatalf("got %+v", o)
	}
	read := func(path string) image.Image {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	for _, name := range []string{"cat.heat.png", "moose.heat.png"} {
		got, want := read(filepath.Join(dir, name)), read(filepath.Join("docs/explained", name))
		if got.Bounds() != want.Bounds() {
			t.Fatalf("%s: got %v, want %v", name, got.Bounds(), want.Bounds())
		}
		for y := range got.Bounds().Dy() {
			for x := range got.Bounds().Dx() {
				if far(got.At(x, y), want.At(x, y)) { // some processors round sums of products once
					t.Fatalf("%s: pixel %d,%d is %v, want %v: go test ./cmd/resnet-run -run InTheDocuments -update", name, x, y, got.At(x, y), want.At(x, y))
				}
			}
		}
	}
}

// far tells colours apart that differ by more than 2 of 255 in a channel.
func far(a, b color.Color) bool {
	p, q := color.NRGBAModel.Convert(a).(color.NRGBA), color.NRGBAModel.Convert(b).(color.NRGBA)
	for _, d := range []int{int(p.R) - int(q.R), int(p.G) - int(q.G), int(p.B) - int(q.B)} {
		if d < -2 || d > 2 {
			return true
		}
	}
	return false
}
