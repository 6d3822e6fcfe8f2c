package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func someResults() []result {
	file := glslDir + "pool.comp"
	return []result{
		{ID: "pool.comp/bound/1", File: file, Operator: "bound", Line: 3, Diff: "- a < b\n+ a <= b\n", Outcome: numbers, Fingerprint: "f1", Case: "c"},
		{ID: "pool.comp/bound/2", File: file, Operator: "bound", Outcome: numbers, Fingerprint: "f1", Case: "c"},
		{ID: "pool.comp/bound/3", File: file, Operator: "bound", Outcome: hang, Fingerprint: "f3"},
		{ID: "pool.comp/swap/4", File: file, Operator: "swap", Outcome: identical},
		{ID: "pool.comp/swap/5", File: file, Operator: "swap", Outcome: notCompiling},
		{ID: "pool.comp/swap/6", File: file, Operator: "swap", Line: 9, Diff: "- H\n+ W\n", Outcome: survived, Fingerprint: "f6"},
		{ID: "pool.comp/swap/7", File: file, Operator: "swap", Outcome: survived, Fingerprint: "f7"},
		{ID: "vulkan/x.go/swap/8", File: "backend/vulkan/x.go", Operator: "swap", Outcome: unitTests, Fingerprint: "f8", Detail: "--- FAIL: TestX", Case: "./x"},
	}
}

func TestReport(t *testing.T) {
	reasons := map[string]reason{"pool.comp/swap/7": {equivalent: true, allowed: true, text: "because"}}
	r := newReport(someResults(), reasons, map[string]string{lavapipe: "llvmpipe"}, "make mutation", 99)
	var b strings.Builder
	if err := r.markdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"make mutation", "on llvmpipe: 8 mutants of the 99 that can be made",
		"| shaders | 3 | 2 | **66.7 %** | 0 | 66.7 % | 1 |", "| planning and recording | 1 | 0 | **0.0 %** | 1 | 100.0 % | 0 |",
		"| pool.comp | 7 | 1 | 1 | 1 | 1 | 3 | 1 | 0 | 0 | 0 | 1 | 0 | 1 | 66.7 % |", "| all | 8 | 1 | 1 | 1 | 1 | 4 | 1 | 0 | 0 | 0 | 1 | 1 | 1 | 50.0 % |",
		"shaders/glsl/pool.comp, line 9, `pool.comp/swap/6`\n\n```diff\n- H\n+ W\n```", "because", "would make the score of the shaders 50.0 %", "--- FAIL: TestX in ./x",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("want %q in\n%s", want, b.String())
		}
	}
}

func TestReasons(t *testing.T) {
	path := filepath.Join(t.TempDir(), "reasons.txt")
	read := func(text string) (map[string]reason, error) {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return readReasons(path)
	}
	for _, c := range []struct{ text, want string }{
		{"a/b/c perhaps no", `:1: want "equivalent", "allowed" or "explained"`},
		{"# x\n\na/b/c equivalent", ":3: want a reason"},
		{"a equivalent x\na explained y", ":2: a stands in line 1"},
	} {
		if _, err := read(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.text, err, c.want)
		}
	}
	reasons, err := read("pool.comp/bound/1 equivalent wrong\npool.comp/swap/6 explained right, with words\ngone explained x\n")
	if err != nil {
		t.Fatal(err)
	}
	if r := reasons["pool.comp/swap/6"]; r.equivalent || r.text != "right, with words" {
		t.Errorf("got %+v", r)
	}
	var generated []mutant
	for _, res := range someResults() {
		generated = append(generated, mutant{ID: res.ID})
	}
	err = stale(reasons, generated, someResults())
	if err == nil || !strings.Contains(err.Error(), "line 3: no mutant gone") || !strings.Contains(err.Error(), "line 1: pool.comp/bound/1 does not survive: numbers c") || strings.Contains(err.Error(), "swap/6") {
		t.Errorf("stale: got %v", err)
	}
}

// TestStoreGoesOn holds that results are found again, and only while they hold.
func TestStoreGoesOn(t *testing.T) {
	dir := t.TempDir()
	r := &runner{version: "1"}
	killedOne, alive := mutant{ID: "a", File: "f", source: "x", Diff: "d"}, mutant{ID: "b", File: "f", source: "y", Diff: "d"}
	s, err := openStore(filepath.Join(dir, "results.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, res := range []result{
		{Key: r.key(killedOne), ID: "a", Diff: "d", Outcome: survived},
		{Key: r.key(killedOne), ID: "a", Diff: "d", Outcome: numbers},
		{Key: r.key(alive), ID: "b", Diff: "d", Outcome: survived},
	} {
		if err := s.add(res); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.file.WriteString(`{"id":"c","outc`); err != nil { // a run that was cut short
		t.Fatal(err)
	}
	s.close()
	if s, err = openStore(filepath.Join(dir, "results.jsonl")); err != nil {
		t.Fatal(err)
	}
	defer s.close()
	other := &runner{version: "2"}
	for _, c := range []struct {
		name  string
		r     *runner
		m     mutant
		trust bool
		want  bool
	}{
		{"a kill", r, killedOne, false, true},
		{"survival", r, alive, false, true},
		{"a kill of another version", other, killedOne, false, false},
		{"a trusted kill of another version", other, killedOne, true, true},
		{"survival of another version", other, alive, true, false},
		{"a mutant that has changed", r, mutant{ID: "a", File: "f", source: "z", Diff: "e"}, true, false},
		{"half a line", r, mutant{ID: "c"}, true, false},
	} {
		res, ok := s.find(c.r, c.m, c.trust, false)
		if ok != c.want {
			t.Errorf("%s: found %v, want %v", c.name, ok, c.want)
		}
		if c.name == "a kill" && res.Outcome != numbers {
			t.Errorf("a later result does not stand for an earlier one: got %q", res.Outcome)
		}
	}
}

// TestCachedTakesAnyResult holds that a report of what there is needs no result of this version.
func TestCachedTakesAnyResult(t *testing.T) {
	s := &store{byID: map[string]result{"a": {ID: "a", Diff: "d", Key: "old", Outcome: survived, Short: true}}}
	r := &runner{version: "2"}
	if _, ok := s.find(r, mutant{ID: "a", Diff: "d"}, true, true); !ok {
		t.Error("a result of another version is not found")
	}
	if _, ok := s.find(r, mutant{ID: "a", Diff: "e"}, true, true); ok {
		t.Error("a result of another change is found")
	}
}

func TestListenTellsHowAWorkerDied(t *testing.T) {
	r := &runner{devices: map[string]string{}}
	for _, c := range []struct {
		says  string
		want  outcome
		begun string
		ended bool
	}{
		{`{"device":"d"}` + "\n" + `{"begin":"a"}` + "\n" + `{"case":"a","status":"passed"}` + "\n" + `{"end":true}`, "", "a", true},
		{`{"begin":"a"}` + "\nnoise\n" + `{"case":"a","status":"failed","error":"e"}` + "\n" + `{"end":true}`, numbers, "a", true},
		{`{"begin":"a"}` + "\n" + `{"case":"a","status":"message"}`, validation, "a", false},
		{`{"begin":"a"}` + "\n" + `{"case":"a","status":"refused"}`, refused, "a", false},
		{`{"begin":"a"}` + "\n" + `{"case":"a","status":"hung"}`, hang, "a", false},
		{`{"begin":"a"}`, "", "a", false},
	} {
		d, begun, ended := r.listen(strings.NewReader(c.says), func() {}, lavapipe)
		if d.outcome != c.want || begun != c.begun || ended != c.ended {
			t.Errorf("%q: got %q %q %v, want %q %q %v", c.says, d.outcome, begun, ended, c.want, c.begun, c.ended)
		}
	}
	if r.devices[lavapipe] != "d" {
		t.Errorf("device: got %q", r.devices[lavapipe])
	}
}
