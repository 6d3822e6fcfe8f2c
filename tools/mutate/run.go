package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// outcome is what became of a mutant.
type outcome string

const (
	numbers      outcome = "numbers"       // a case failed
	validation   outcome = "validation"    // the validation layer complained
	refused      outcome = "refused"       // a case that the original runs was refused
	crash        outcome = "crash"         // the process ended
	hang         outcome = "hang"          // a case did not end
	unitTests    outcome = "unit tests"    // the suite saw nothing, a unit test failed
	notCompiling outcome = "not compiling" // no mutant
	identical    outcome = "identical"     // compiles to the same as the original
	survived     outcome = "survived"
)

// killed reports whether the suite saw the mutant.
func (o outcome) killed() bool {
	return o == numbers || o == validation || o == refused || o == crash || o == hang
}

// result is what is known of a mutant.
type result struct {
	Key         string  `json:"key"`
	ID          string  `json:"id"`
	File        string  `json:"file"`
	Operator    string  `json:"operator"`
	Line        int     `json:"line"`
	Diff        string  `json:"diff"`
	Why         string  `json:"why,omitempty"`
	Outcome     outcome `json:"outcome"`
	Stage       string  `json:"stage,omitempty"`
	Case        string  `json:"case,omitempty"`
	Detail      string  `json:"detail,omitempty"`
	Fingerprint string  `json:"fingerprint,omitempty"`
	Short       bool    `json:"short,omitempty"` // listed with a reason, or a quick run: only the first stages were run
	Seconds     float64 `json:"seconds"`
}

// runner finds out what becomes of mutants.
type runner struct {
	builder  *builder
	suite    suite
	drivers  map[string]string // manifest by driver
	original *built
	plain    string // the hash of the worker without an overlay
	version  string // of everything but the mutant
	reasons  map[string]reason
	quick    bool // only the first stages, to look before a long run
	log      io.Writer

	mu       sync.Mutex
	devices  map[string]string
	passes   map[string]bool          // stage and case → the original passes it
	running  map[string]chan struct{} // by fingerprint
	finished map[string]result        // by fingerprint
}

func (r *runner) noteDevice(driver, device string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.devices[driver] = device
}

// run finds out about one mutant.
func (r *runner) run(ctx context.Context, m mutant) (result, error) {
	begin := time.Now()
	_, listed := r.reasons[m.ID]
	res := result{Key: r.key(m), ID: m.ID, File: m.File, Operator: m.Operator, Line: m.Line, Diff: m.Diff, Why: m.Why, Short: listed || r.quick}
	dir := filepath.Join(r.builder.tmp, shortHash(m.ID))
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	b, stages, err := r.prepare(ctx, m, dir)
	switch {
	case errors.Is(err, errNotCompiling):
		res.Outcome, res.Detail = notCompiling, err.Error()
	case errors.Is(err, errIdentical):
		res.Outcome = identical
	case err != nil:
		return res, err
	default:
		res.Fingerprint = b.fingerprint
		var d death
		if d, res.Stage, err = r.alone(ctx, b, stages, res.Short); err != nil {
			return res, err
		}
		res.Outcome, res.Case, res.Detail = d.outcome, d.where, firstLine(d.detail)
	}
	res.Seconds = time.Since(begin).Seconds()
	return res, nil
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	if len(s) > 400 {
		s = s[:400] + "…"
	}
	return s
}

func (r *runner) prepare(ctx context.Context, m mutant, dir string) (*built, []stage, error) {
	if strings.HasSuffix(m.File, ".go") {
		b, err := r.builder.goMutant(ctx, m, dir, r.plain)
		return b, r.suite.goStages(m.File), err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, nil, err
	}
	b, err := r.builder.shaderMutant(ctx, m, dir)
	if err != nil {
		return nil, nil, err
	}
	b.worker = r.original.worker
	return b, r.suite.shaderStages(b.variants), nil
}

// alone passes a mutant through the stages, unless one that comes to the same has been: then its end is this one's.
func (r *runner) alone(ctx context.Context, b *built, stages []stage, short bool) (death, string, error) {
	r.mu.Lock()
	for r.running[b.fingerprint] != nil {
		wait := r.running[b.fingerprint]
		r.mu.Unlock()
		<-wait
		r.mu.Lock()
	}
	if same, ok := r.finished[b.fingerprint]; ok && (short || !same.Short || same.Outcome != survived) {
		r.mu.Unlock()
		return death{same.Outcome, same.Case, same.Detail}, same.Stage, nil
	}
	done := make(chan struct{})
	r.running[b.fingerprint] = done
	r.mu.Unlock()
	d, name, err := r.stages(ctx, b, stages, short)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, b.fingerprint)
	close(done)
	if err == nil {
		r.finished[b.fingerprint] = result{Outcome: d.outcome, Case: d.where, Detail: d.detail, Stage: name, Short: short}
	}
	return d, name, err
}

// stages runs them until one kills the mutant. With short, only the first are run.
func (r *runner) stages(ctx context.Context, b *built, stages []stage, short bool) (death, string, error) {
	for _, s := range stages {
		if short && !s.First {
			continue
		}
		for len(s.Cases)+len(s.GoTests) > 0 {
			d, err := r.runStage(ctx, b, s)
			if err != nil {
				return d, s.Name, err
			}
			if d.outcome == survived {
				break
			}
			believed, err := r.believable(ctx, b, s, d)
			if err != nil {
				return d, s.Name, err
			}
			if believed {
				return d, s.Name, nil
			}
			s.Cases = slices.DeleteFunc(slices.Clone(s.Cases), func(c string) bool { return c == d.where })
		}
	}
	return death{outcome: survived}, "", nil
}

// believable reports whether a death says something: the original passes the case, alone and in the same place, and a mutant that
// hung hangs again when it has more time.
func (r *runner) believable(ctx context.Context, b *built, s stage, d death) (bool, error) {
	if len(s.GoTests) > 0 || d.where == "" || d.where == "close" {
		return true, nil
	}
	s.Cases, s.Alone = []string{d.where}, true
	passes, err := r.originalPasses(ctx, s)
	if err != nil || !passes || d.outcome != hang {
		return passes, err
	}
	again, err := r.runStage(ctx, b, s)
	return again.outcome != survived, err
}

// originalPasses reports whether the original passes the one case of a stage.
func (r *runner) originalPasses(ctx context.Context, s stage) (bool, error) {
	key := fmt.Sprint(s.Driver, s.Options, s.Cases)
	r.mu.Lock()
	passes, known := r.passes[key]
	r.mu.Unlock()
	if known {
		return passes, nil
	}
	own, err := r.runStage(ctx, r.original, s)
	if err != nil {
		return false, err
	}
	passes = own.outcome == survived
	if !passes {
		fmt.Fprintf(r.log, "the original does not pass %s on %s: %s %s\n", s.Cases[0], s.Name, own.outcome, firstLine(own.detail))
	}
	r.mu.Lock()
	r.passes[key] = passes
	r.mu.Unlock()
	return passes, nil
}

// key tells whether a result of another run still holds: it is of the mutated file, everything else that is built, and the suite.
func (r *runner) key(m mutant) string {
	sum := sha256.Sum256([]byte(r.version + "\n" + m.File + "\n" + m.source))
	return hex.EncodeToString(sum[:12])
}

// versionOf hashes the code that workers are made of and the rules by which they are used.
func versionOf(root string) (string, error) {
	h := sha256.New()
	for _, dir := range []string{"backend", "conformance", "graph", "shaders", "internal/seeded", "tools/mutate"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				if e != nil && e.Name() == "testdata" {
					return filepath.SkipDir
				}
				return err
			}
			inTool := dir == "tools/mutate" && e.Name() != "suite.go" && !strings.Contains(path, "worker")
			if strings.HasSuffix(path, "_test.go") || inTool || !slices.Contains([]string{".go", ".comp", ".glsl", ".c", ".h", ".s"}, filepath.Ext(path)) {
				return nil
			}
			sum, err := hashFile(path)
			rel, _ := filepath.Rel(root, path)
			fmt.Fprintln(h, rel, sum)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:12]), nil
}
