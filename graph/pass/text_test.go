package pass

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

var update = flag.Bool("update", false, "write the graphs after the passes into testdata")

// TestGraphsBeforeAndAfter runs the cases of testdata: comments, of which the first names the passes, a graph, a line
// of dashes, and the graph that the passes must make of it.
func TestGraphsBeforeAndAfter(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 15 {
		t.Fatalf("want at least 15 cases in testdata, got %d (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { testFile(t, file) })
	}
}

func testFile(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, want, _ := strings.Cut(string(data), separator)
	first, _, _ := strings.Cut(before, "\n")
	passes := passesOf(t, strings.TrimPrefix(first, "# passes: "))
	g, err := graph.Parse(strings.NewReader(before))
	if err != nil {
		t.Fatal(err)
	}
	source := g.Text()
	got, err := Run(g, passes)
	if err != nil {
		t.Fatal(err)
	}
	if g.Text() != source {
		t.Errorf("the passes changed the graph that they were given:\n%s", g.Text())
	}
	if *update {
		if err := os.WriteFile(file, []byte(before+separator+got.Text()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got.Text() != want {
		t.Errorf("got\n%s\nwant\n%s", got.Text(), want)
	}
	again, err := Run(got, passes)
	if err != nil {
		t.Fatal(err)
	}
	if again.Text() != got.Text() {
		t.Errorf("the second time gives\n%s\nwant\n%s", again.Text(), got.Text())
	}
}

const separator = "----\n"

// passesOf returns the default passes or the one of that name.
func passesOf(t *testing.T, name string) []Pass {
	t.Helper()
	if name == "default" {
		return Default()
	}
	for _, p := range Default() {
		if p.Name == name {
			return []Pass{p}
		}
	}
	t.Fatalf("no pass %q", name)
	return nil
}
