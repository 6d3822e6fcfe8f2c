package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/internal/model/modeltest"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// goldenDir is absolute, since tests change the working folder.
var goldenDir = func() string {
	dir, err := filepath.Abs("testdata")
	if err != nil {
		panic(err)
	}
	return dir
}()

// volatile are the parts of outputs that differ between runs or machines.
var volatile = []struct {
	pattern *regexp.Regexp
	mask    string
}{
	{regexp.MustCompile(`(decode bad\.jpg: )[^"\n]+`), "${1}REASON"},
	{regexp.MustCompile(`go1\.[0-9.]+[^\s",]*`), "GO"},
	{regexp.MustCompile(`(linux|darwin|windows|freebsd)/[a-z0-9]+`), "OS/ARCH"},
	{regexp.MustCompile(`("?(?:wall_seconds|[a-z_]+_share|decode_seconds|preprocess_seconds|images_per_second|workers)"?: )[0-9.e+-]+`), "${1}0"},
	{regexp.MustCompile(`(speed +)[0-9.]+ images/s \([0-9.]+ s`), "${1}N images/s (N s"},
	{regexp.MustCompile(`backend [0-9.]+ %, waiting for pictures [0-9.]+ %, compiling [0-9.]+ %, other [0-9.]+ %`), "backend N %, waiting for pictures N %, compiling N %, other N %"},
	{regexp.MustCompile(`on \d+ workers: decoding [0-9.]+ %, preprocessing [0-9.]+ %`), "on N workers: decoding N %, preprocessing N %"},
	{regexp.MustCompile(`("processors": ?)"\d+"|(processors +)\d+`), "${1}${2}N"},
	{regexp.MustCompile(`(\d\.\d{9})\d+`), "${1}…"}, // the last digits of exponentials differ between processors
}

func mask(s string) string {
	for _, v := range volatile {
		s = v.pattern.ReplaceAllString(s, v.mask)
	}
	return s
}

// goldens are the commands whose whole outcome is recorded, by file name.
var goldens = map[string][]string{
	"classify-table":        {"classify", "pictures"},
	"classify-table-top2":   {"classify", "--topk", "2", "pictures/red.png", "bad.jpg", "pictures/blue.png"},
	"classify-json":         {"classify", "-f", "json", "-k", "2", "pictures/green.png", "bad.jpg"},
	"classify-ndjson":       {"classify", "-f", "ndjson", "bad.jpg", "pictures/*.png", "gone.png"},
	"classify-csv":          {"classify", "-f", "csv", "-k", "3", "bad.jpg", "pictures/blue.png"},
	"classify-onnx":         {"classify", "-v", "-m", "colour.onnx", "pictures"},
	"classify-all-bad":      {"classify", "bad.jpg", "[a-", "none-*.png"},
	"classify-all-bad-json": {"classify", "-f", "json", "bad.jpg"},
	"classify-overflow":     {"classify", "-m", "overflow.safetensors", "-f", "json", "pictures/red.png"},
	"classify-verbose":      {"classify", "-v", "--resize", "9", "pictures/red.png"},
	"devices-table":         {"devices"},
	"devices-json":          {"devices", "--format", "json"},
	"devices-csv":           {"devices", "--format", "csv"},
	"devices-verbose":       {"devices", "-v"},
	"eval-table":            {"eval", "--dataset", "set"},
	"eval-json":             {"eval", "--dataset", "set", "--format", "json", "--batch", "2"},
	"eval-csv":              {"eval", "--dataset", "set", "--format", "csv"},
	"inspect-table":         {"inspect", "colour.safetensors"},
	"inspect-onnx":          {"inspect", "colour.onnx", "--format", "json", "--passes", "after"},
	"inspect-json":          {"inspect", "colour.safetensors", "--format", "json", "--passes", "after", "--batch", "3"},
	"inspect-csv":           {"inspect", "colour.safetensors", "--format", "csv", "--input", "4x6"},
	"inspect-dot":           {"inspect", "colour.safetensors", "--format", "dot", "--passes", "after"},
	"inspect-plan":          {"inspect", "colour.safetensors", "--plan", "--batch", "8"},
	"inspect-plan-json":     {"inspect", "colour.safetensors", "--plan", "--format", "json"},
	"inspect-plan-dot":      {"inspect", "colour.safetensors", "--plan", "--format", "dot", "--passes", "before"},
	"inspect-text":          {"inspect", "colour.safetensors", "--format", "text"},
	"help":                  {"--help"},
	"help-classify":         {"classify", "--help"},
}

func TestGolden(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("paths and the system's messages are others there")
	}
	if len(goldens) < 20 {
		t.Fatal("the list of golden files has shrunk")
	}
	for name, args := range goldens {
		t.Run(name, func(t *testing.T) {
			world(t)
			env := map[string]string{"RESNET_RUN_BACKEND": "reference", "RESNET_RUN_MODEL": "colour.safetensors"}
			o := run(t, t.Context(), strings.NewReader(""), env, nil, args...)
			got := mask(fmt.Sprintf("$ resnet-run %s\n%s--- stderr\n%s--- exit code %d\n", strings.Join(args, " "), o.stdout, o.stderr, o.code))
			path := filepath.Join(goldenDir, name+".txt")
			if *update {
				modeltest.WriteFile(t, path, []byte(got))
				return
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
	files, err := filepath.Glob(filepath.Join(goldenDir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, ok := goldens[strings.TrimSuffix(filepath.Base(f), ".txt")]; !ok {
			t.Errorf("%s belongs to no command", f)
		}
	}
}
