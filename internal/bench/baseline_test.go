package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// report is the JSON of two results.
func report(t *testing.T, samples ...[]float64) []byte {
	t.Helper()
	r := Report{Format: FormatVersion}
	for i, s := range samples {
		r.Results = append(r.Results, Result{Case: Case{Network: "n", Batch: i + 1}, Status: OK, Timing: newTiming(s, 1, 1, 0)})
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestBaseline(t *testing.T) {
	b, err := decodeBaseline(bytes.NewReader(report(t, series(1, 30, 1, 0.01, 0, false), series(2, 30, 1, 0.01, 0, false), series(3, 30, 1, 0.01, 0, false))))
	if err != nil {
		t.Fatal(err)
	}
	r := Report{Results: []Result{
		{Case: Case{Network: "n", Batch: 1}, Status: OK, Timing: newTiming(series(4, 30, 1.2, 0.01, 0, false), 1, 1, 0)},
		{Case: Case{Network: "n", Batch: 2}, Status: OK, Timing: newTiming(series(5, 30, 1, 0.01, 0, false), 1, 1, 0)},
		{Case: Case{Network: "new", Batch: 2}, Status: OK, Timing: newTiming(series(5, 30, 1, 0.01, 0, false), 1, 1, 0)},
	}}
	if n := b.Against(&r, 0.02); n != 2 {
		t.Errorf("compared %d, want 2", n)
	}
	if c := r.Results[0].Change; c == nil || c.Verdict != Slower {
		t.Errorf("got %+v, want slower", c)
	}
	if c := r.Results[1].Change; c == nil || c.Verdict != Same {
		t.Errorf("got %+v, want the same", c)
	}
	if r.Results[2].Change != nil || len(r.Missing) != 1 || r.Missing[0].Batch != 3 {
		t.Errorf("got %+v, missing %v", r.Results[2].Change, r.Missing)
	}
	if !errors.Is(r.Err(), ErrSlower) || !strings.Contains(r.Err().Error(), "n N1") {
		t.Errorf("got %v", r.Err())
	}
}

func TestDoubtsAboutABaseline(t *testing.T) {
	b := Baseline{CPU: "one", Load: []float64{0.1}}
	for want, e := range map[string]Environment{
		"":                       {CPU: "one", Cores: 4, Load: []float64{1.9}},
		"another processor":      {CPU: "two", Cores: 4, Load: []float64{0}},
		"another load: 0.10 whe": {CPU: "one", Cores: 4, Load: []float64{2.5}},
	} {
		got := strings.Join(b.Doubts(&Report{Environment: e}), "; ")
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := b.Doubts(&Report{Environment: Environment{CPU: "one"}}); len(got) != 0 {
		t.Errorf("a load that is not known: got %v", got)
	}
}

func TestBadBaselines(t *testing.T) {
	good := string(report(t, []float64{1, 2}))
	for name, c := range map[string]struct{ text, want string }{
		"empty":          {"", "bench --format json"},
		"no JSON":        {"\x00\xff", "bench --format json"},
		"a list":         {"[]", "bench --format json"},
		"no version":     {"{}", "field format: want 1, got none"},
		"later version":  {strings.Replace(good, `"format":1`, `"format":2`, 1), "field format: want 1, got 2"},
		"no results":     {`{"format":1,"results":[]}`, "field results"},
		"no samples":     {strings.Replace(good, `"samples":[1,2]`, `"samples":[]`, 1), "results[0].timing.samples"},
		"negative time":  {strings.Replace(good, `"samples":[1,2]`, `"samples":[1,-2]`, 1), "results[0].timing.samples[1]"},
		"a case twice":   {strings.Replace(string(report(t, []float64{1}, []float64{1})), `"batch":2`, `"batch":1`, 1), "results[1]"},
		"text for times": {strings.Replace(good, `[1,2]`, `"x"`, 1), "bench --format json"},
	} {
		if _, err := decodeBaseline(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if _, err := ReadBaseline(t.TempDir() + "/none"); err == nil {
		t.Error("a file that is not there was read")
	}
}

func FuzzBaseline(f *testing.F) {
	f.Add([]byte(`{"format":1,"results":[{"network":"n","batch":1,"status":"ok","timing":{"samples":[1,2,0.5]}}]}`))
	f.Add([]byte(`{"format":1,"results":[{"status":"wrong"},{"status":"ok"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := decodeBaseline(bytes.NewReader(data))
		if err != nil {
			return
		}
		r := Report{}
		for _, c := range b.cases {
			r.Results = append(r.Results, Result{Case: c, Status: OK, Timing: newTiming(b.samples[c], 1, 1, 0)})
		}
		b.Against(&r, 0)
		for _, x := range r.Results {
			if x.Change == nil || x.Change.Verdict != Same {
				t.Errorf("%v against itself: %+v", x.Case, x.Change)
			}
		}
	})
}
