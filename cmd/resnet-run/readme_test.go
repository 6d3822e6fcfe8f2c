package main

import (
	"os"
	"runtime"
	"strings"
	"testing"
)

// TestREADMEShowsWhatTheProgramPrints holds the output of "make run" in the README against the program's.
func TestREADMEShowsWhatTheProgramPrints(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("paths are written otherwise there")
	}
	const begin, end = "<!-- output: make run -->\n```\n", "```\n<!-- end of output -->\n"
	t.Chdir("../..")
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("README.md: the markers of the output of make run are missing")
	}
	o := do(t, "classify", "photos")
	if o.code != exitOK {
		t.Fatalf("got %+v", o)
	}
	if *update {
		if err := os.WriteFile("README.md", []byte(before+begin+o.stdout+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != o.stdout {
		t.Errorf("README.md shows\n%s\nthe program prints\n%s", got, o.stdout)
	}
}
