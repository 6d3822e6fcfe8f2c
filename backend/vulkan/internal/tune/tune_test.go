package tune

import (
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

var id = Identity{Device: "0-1", DriverID: 13, DriverVersion: 7, Driver: "2-3", Pipelines: "4-5", Program: 1}

func proof(kernel, shape string, when int64, reason string) Proof {
	p := Proof{Key: Key{kernel, "abc", shape}, When: when, Error: 0.25}
	if reason != "" {
		p.Struck, p.Reason, p.Error = true, reason, 17
	}
	return p
}

func race(shape string, when int64, full bool, medians ...float64) Race {
	r := Race{Shape: shape, When: when, Full: full}
	for i, m := range medians {
		r.Timings = append(r.Timings, Timing{fmt.Sprint("k", i), "abc", m, m / 100, 5})
	}
	return r
}

func file(t *testing.T) File {
	t.Helper()
	return File{filepath.Join(t.TempDir(), "sub", "outcomes.txt"), id}
}

func load(t *testing.T, f File) *Outcomes {
	t.Helper()
	o, err := f.Load()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestWhatIsSavedIsLoaded(t *testing.T) {
	f := file(t)
	if o := load(t, f); len(o.Proofs())+len(o.Races()) != 0 {
		t.Error("a file that does not exist has outcomes")
	}
	var o Outcomes
	o.AddProof(proof("a", "", 1, ""))
	o.AddProof(proof("b", "conv2d <3> & \"more\"\n", 2, "wrong\xff by far"))
	infinite := proof("c", "", 3, "NaN")
	infinite.Error = math.Inf(1)
	o.AddProof(infinite)
	o.AddRace(race("s", 4, true, 0.5, 0.25))
	if err := f.Save(&o); err != nil {
		t.Fatal(err)
	}
	if got := load(t, f); !reflect.DeepEqual(got.Proofs(), o.Proofs()) || !reflect.DeepEqual(got.Races(), o.Races()) {
		t.Errorf("got %v and %v, want %v and %v", got.Proofs(), got.Races(), o.Proofs(), o.Races())
	}
	if (File{}).Save(&o) != nil {
		t.Error("a file without a path cannot be saved")
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(f.Path), "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("got files %v, %v, want the one", left, err)
	}
	hidden, _ := filepath.Glob(filepath.Join(filepath.Dir(f.Path), ".*"))
	if len(hidden) != 0 {
		t.Errorf("temporary files are left: %v", hidden)
	}
}

func TestMergeDoesNotDependOnTheOrder(t *testing.T) {
	proofs := []Proof{proof("a", "", 1, ""), proof("a", "", 2, ""), proof("a", "", 1, "wrong"), proof("a", "", 3, ""), proof("a", "s", 1, "")}
	races := []Race{race("s", 1, true, 2, 1), race("s", 9, false, 1, 2), race("s", 3, true, 2, 1), race("s", 3, true, 2, 1, 4), race("s", 3, true, 2, 1.5)}
	var want *Outcomes
	for shift := range proofs {
		sets := make([]*Outcomes, len(proofs))
		for i := range sets {
			j := (i*2 + shift) % len(proofs)
			sets[i] = &Outcomes{}
			sets[i].AddProof(proofs[j])
			sets[i].AddRace(races[j])
		}
		for i := 1; i < len(sets); i++ {
			sets[i].Merge(sets[i-1])
		}
		got := sets[len(sets)-1]
		if want == nil {
			want = got
		}
		if !reflect.DeepEqual(got.Proofs(), want.Proofs()) || !reflect.DeepEqual(got.Races(), want.Races()) {
			t.Errorf("shift %d: got %v, %v, want %v, %v", shift, got.Proofs(), got.Races(), want.Proofs(), want.Races())
		}
	}
	if p, _ := want.Proof(Key{"a", "abc", ""}); !p.Struck || p.Reason != "wrong" {
		t.Errorf("got %+v: what was struck off once must stay so", p)
	}
	if r, _ := want.Race("s"); r.When != 9 {
		t.Errorf("got %+v, want the latest race", r)
	}
	var same Outcomes
	for _, r := range []Race{race("s", 3, true, 2, 1), race("s", 3, true, 2, 1, 4), race("s", 3, false, 2, 1, 4, 5)} {
		same.AddRace(r)
	}
	if r, _ := same.Race("s"); !r.Full || len(r.Timings) != 3 {
		t.Errorf("got %+v, want of those of the same time a full one, and of two the larger", r)
	}
}

func TestChoiceNeedsMoreThanNoise(t *testing.T) {
	timing := func(median, spread float64) Timing { return Timing{"k", "h", median, spread, 5} }
	for _, c := range []struct {
		name string
		a, b Timing
		want bool
	}{
		{"clearly faster", timing(0.5, 0.01), timing(1, 0.01), true},
		{"slower", timing(1, 0.01), timing(0.5, 0.01), false},
		{"equal", timing(1, 0), timing(1, 0), false},
		{"within the margin", timing(0.98, 0), timing(1, 0), false},
		{"quartiles overlap", timing(0.8, 0.15), timing(1, 0.1), false},
	} {
		if got := Faster(c.a, c.b); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
	r := race("s", 1, true, 1, 0.5, 0.99, 2)
	for kernel, want := range map[string]float64{"k0": 1, "k1": 0.5, "k2": 1, "k3": 2, "k9": 0} {
		if got := r.Seconds(kernel, "abc"); got != want {
			t.Errorf("%s: got %g s, want %g", kernel, got, want)
		}
	}
	if got := r.Seconds("k1", "other"); got != 0 {
		t.Errorf("a kernel with another hash: got %g s, want none", got)
	}
	if got := r.Best(); got != 1 {
		t.Errorf("best: got %d, want 1", got)
	}
	if got := race("s", 1, true, 1, 0.99, 0.98).Best(); got != 0 {
		t.Errorf("best of equals: got %d, want the rule's choice", got)
	}
}

// TestWhatCannotBeReadIsNotTaken: one bad entry must not make the whole file worthless.
func TestWhatCannotBeReadIsNotTaken(t *testing.T) {
	var o Outcomes
	o.AddProof(Proof{Key: Key{Kernel: "k"}})
	o.AddProof(Proof{Key: Key{Kernel: "k", Hash: "h"}, Error: 2})
	o.AddProof(Proof{Key: Key{Kernel: "k", Hash: "h", Shape: strings.Repeat("x", maxText+1)}})
	o.AddRace(Race{Shape: "s"})
	o.AddRace(race("s", 1, true, 1, math.NaN()))
	if len(o.Proofs())+len(o.Races()) != 0 {
		t.Errorf("got %v and %v, want none", o.Proofs(), o.Races())
	}
}

func TestDamageIsFound(t *testing.T) {
	f := file(t)
	var o Outcomes
	o.AddProof(proof("a", "", 1, ""))
	o.AddRace(race("s", 1, true, 1, 2))
	if err := f.Save(&o); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	seal := func(old, new string) []byte { // changes the body and makes the checksum right again
		_, body, _ := strings.Cut(string(good), "\n")
		if !strings.Contains(body, old) {
			t.Fatalf("the file has no %s", old)
		}
		return sealed(strings.Replace(body, old, new, 1))
	}
	for _, c := range []struct {
		name, want string
		data       []byte
	}{
		{"empty", "first line", nil},
		{"cut short", "checksum", good[:len(good)-9]},
		{"another version", "first line", []byte(strings.Replace(string(good), "outcomes 2", "outcomes 1", 1))},
		{"a digit changed", "checksum", []byte(strings.Replace(string(good), "0.25", "0.24", 1))},
		{"another driver", "identity", seal(`"driver_version": 7`, `"driver_version": 8`)},
		{"another program", "identity", seal(`"program": 1`, `"program": 2`)},
		{"an unknown field", "unknown field", seal(`"when": 1`, `"wen": 1`)},
		{"proved with an error beyond its bound", "fraction", seal("0.25", "1.25")},
		{"negative time", "time above 0", seal(`"median_s": 2`, `"median_s": -2`)},
		{"no kernel", "want a kernel", seal(`"kernel": "a"`, `"kernel": ""`)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.WriteFile(f.Path, c.data, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := f.Load()
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), f.Path) {
				t.Errorf("got error %v, want one about %q and %s", err, c.want, f.Path)
			}
			if len(got.Proofs())+len(got.Races()) != 0 {
				t.Error("a damaged file gave outcomes")
			}
			if err := f.Save(&o); err != nil {
				t.Errorf("save over it: %v", err)
			}
			if len(load(t, f).Proofs()) != 1 {
				t.Error("it was not replaced")
			}
		})
	}
}

// sealed is a file with that body and the checksum that fits.
func sealed(body string) []byte {
	return fmt.Appendf(nil, "%s%x\n%s", magic, sha256.Sum256([]byte(body)), body)
}

func TestProcessesLoseNothing(t *testing.T) {
	const processes, rounds = 4, 12
	if path := os.Getenv("TUNE_TEST_FILE"); path != "" {
		f := File{path, id}
		for i := range rounds {
			var o Outcomes
			o.AddProof(proof(os.Getenv("TUNE_TEST_NAME"), fmt.Sprint(i), int64(i), ""))
			if err := f.Save(&o); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	f := file(t)
	var wg sync.WaitGroup
	for i := range processes {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run=^TestProcessesLoseNothing$")
			cmd.Env = append(os.Environ(), "TUNE_TEST_FILE="+f.Path, fmt.Sprint("TUNE_TEST_NAME=p", i))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("process %d: %v\n%s", i, err, out)
			}
		})
	}
	wg.Wait()
	if got := len(load(t, f).Proofs()); got != processes*rounds {
		t.Errorf("got %d proofs, want %d", got, processes*rounds)
	}
}

func TestALockOfADeadProcessIsNotWaitedFor(t *testing.T) {
	f := file(t)
	lock := f.Path + ".lock"
	if err := os.MkdirAll(filepath.Dir(lock), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Minute)
	if err := os.Chtimes(lock, old, old); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := f.Save(&Outcomes{}); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > lockPatience/2 {
		t.Errorf("saving took %v", d)
	}
}

func TestOutcomesAreBounded(t *testing.T) {
	var o Outcomes
	for i := range MaxProofs + 100 {
		reason := ""
		if i == 5 {
			reason = "wrong"
		}
		o.AddProof(proof("k", fmt.Sprint(i), int64(i), reason))
	}
	for i := range MaxRaces + 1 {
		o.AddRace(race(fmt.Sprint(i), int64(i), true, 1))
	}
	if p, r := len(o.Proofs()), len(o.Races()); p > MaxProofs || r > MaxRaces || p < MaxProofs/2 || r < MaxRaces/2 {
		t.Errorf("got %d proofs and %d races, want at most %d and %d, and not much less", p, r, MaxProofs, MaxRaces)
	}
	for shape, want := range map[string]bool{"0": false, "5": true, fmt.Sprint(MaxProofs + 99): true} {
		if _, ok := o.Proof(Key{"k", "abc", shape}); ok != want {
			t.Errorf("proof %s: kept %v, want %v (the oldest go, but not those that strike off)", shape, ok, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	var o Outcomes
	o.AddProof(proof("a", "s", 1, ""))
	o.AddProof(proof("b", "", 1, "wrong"))
	o.AddRace(race("s", 1, true, 1, 2))
	good, err := Encode(id, &o)
	if err != nil {
		f.Fatal(err)
	}
	_, body, _ := strings.Cut(string(good), "\n")
	f.Add([]byte(body), true)
	f.Add(good, false)
	f.Add([]byte("{}"), true)
	f.Fuzz(func(t *testing.T, data []byte, seal bool) {
		if seal { // or no input would ever come past the checksum
			data = sealed(string(data))
		}
		got, err := Parse(data, id)
		if err != nil {
			return
		}
		again, err := Encode(id, got)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		back, err := Parse(again, id)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if !reflect.DeepEqual(back.Proofs(), got.Proofs()) || !reflect.DeepEqual(back.Races(), got.Races()) {
			t.Errorf("got %v, %v, want %v, %v", back.Proofs(), back.Races(), got.Proofs(), got.Races())
		}
	})
}
