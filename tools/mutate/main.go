package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/resnet-run/resnet-run/conformance"
)

type flags struct {
	root, out, report, pattern, shard, reasons, cases string
	n, jobs                                           int
	list, trustKills, quick, cached                   bool
	lavapipe, swiftShader                             string
}

func main() {
	var f flags
	flag.StringVar(&f.root, "root", ".", "the module's `folder`")
	flag.StringVar(&f.out, "out", "bin/mutation", "`folder` of the results, which a later run goes on from")
	flag.StringVar(&f.report, "report", "", "write the Markdown report to this `file`")
	flag.StringVar(&f.pattern, "run", "", "only mutants whose ID matches this `expression`")
	flag.StringVar(&f.shard, "shard", "", "`i/n`: only every n-th mutant, from the i-th on")
	flag.IntVar(&f.n, "n", 0, "only this many of each file, and what was written by hand; 0 is all")
	flag.IntVar(&f.jobs, "jobs", 2, "how many at once")
	flag.BoolVar(&f.list, "list", false, "list the mutants, run none")
	flag.BoolVar(&f.trustKills, "trust-kills", false, "take kills over from results of another version")
	flag.BoolVar(&f.quick, "quick", false, "only the first stages: what survives may yet be killed")
	flag.StringVar(&f.cases, "cases", "", "with -quick: only cases whose name matches this `expression`")
	flag.BoolVar(&f.cached, "cached", false, "run none: report every result that there is, of whatever version")
	flag.StringVar(&f.reasons, "reasons", "tools/mutate/reasons.txt", "`file` with the reasons of survivors")
	flag.StringVar(&f.lavapipe, "lavapipe", manifest("/usr/share/vulkan/icd.d/lvp_icd*.json"), "`file`: the driver's manifest")
	flag.StringVar(&f.swiftShader, "swiftshader", manifest("/usr/lib/chromium/vk_swiftshader_icd.json"), "`file`: the driver's manifest")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, f, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// manifest is the first file that the pattern means.
func manifest(pattern string) string {
	if files, err := filepath.Glob(pattern); err == nil && len(files) > 0 {
		return files[0]
	}
	return ""
}

func run(ctx context.Context, f flags, stdout, log io.Writer) error {
	root, err := filepath.Abs(f.root)
	if err != nil {
		return err
	}
	all, err := generate(root)
	if err != nil {
		return err
	}
	chosen, err := choose(all, f)
	if err != nil {
		return err
	}
	if f.list {
		for _, m := range chosen {
			fmt.Fprintf(stdout, "%s (line %d) %s\n%s\n", m.ID, m.Line, m.Why, m.Diff)
		}
		fmt.Fprintf(log, "%d of %d mutants\n", len(chosen), len(all))
		return nil
	}
	reasons, err := readReasons(filepath.Join(root, f.reasons))
	if err != nil {
		return err
	}
	r, cleanup, err := newRunner(ctx, root, f, reasons, log)
	if err != nil {
		return err
	}
	defer cleanup()
	results, err := r.runAll(ctx, chosen, f, log)
	if err != nil {
		return err
	}
	return errors.Join(finish(r, results, len(all), f, stdout), stale(reasons, all, results))
}

func choose(all []mutant, f flags) ([]mutant, error) {
	re, err := regexp.Compile(f.pattern)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	var out []mutant
	for _, m := range all {
		if re.MatchString(m.ID) {
			out = append(out, m)
		}
	}
	if f.shard != "" {
		var i, n int
		if _, err := fmt.Sscanf(f.shard, "%d/%d", &i, &n); err != nil || i < 1 || i > n {
			return nil, fmt.Errorf("-shard %q: want i/n with i in 1..n", f.shard)
		}
		out = shard(out, i, n)
	}
	if out = sample(out, f.n); len(out) == 0 {
		return nil, errors.New("no mutant is chosen")
	}
	return out, nil
}

func newRunner(ctx context.Context, root string, f flags, reasons map[string]reason, log io.Writer) (*runner, func(), error) {
	for name, path := range map[string]string{"lavapipe": f.lavapipe, "swiftshader": f.swiftShader} {
		if _, err := os.Stat(path); err != nil {
			return nil, nil, fmt.Errorf("-%s: the driver's manifest: %w (scripts/setup test installs it)", name, err)
		}
	}
	cases, err := conformance.Select(conformance.Cases(), conformance.Full, f.cases)
	if err == nil && f.cases != "" && !f.quick {
		err = errors.New("want -quick with it: what survives a part of the suite has no verdict")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("-cases: %w", err)
	}
	tmp, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return nil, nil, err
	}
	cleanup := func() { _ = os.RemoveAll(tmp) }
	r := &runner{
		builder: &builder{root: root, tmp: tmp}, suite: suite{cases}, reasons: reasons, quick: f.quick, log: log,
		drivers: map[string]string{lavapipe: f.lavapipe, swiftShader: f.swiftShader},
		devices: map[string]string{}, passes: map[string]bool{}, running: map[string]chan struct{}{}, finished: map[string]result{},
	}
	if r.version, err = versionOf(root); err == nil {
		err = r.buildOriginals(ctx)
	}
	if err != nil {
		cleanup()
		return nil, nil, err
	}
	return r, cleanup, nil
}

// buildOriginals makes the two workers without a mutant, and holds that they pass a case on each driver.
func (r *runner) buildOriginals(ctx context.Context) error {
	worker, err := r.builder.shaderWorker(ctx)
	if err != nil {
		return err
	}
	r.original = &built{worker: worker}
	dir := filepath.Join(r.builder.tmp, "plain")
	overlay, err := r.builder.overlay(dir, nil)
	if err != nil {
		return err
	}
	plain, err := r.builder.build(ctx, dir, overlay)
	if err != nil {
		return err
	}
	if r.plain, err = hashFile(plain); err != nil {
		return err
	}
	for driver := range r.drivers {
		s := stage{Name: driver, Driver: driver, Cases: suite{conformance.Cases()}.pick(conformance.Quick, oneOf([]string{"relu"}))[:1]}
		d, err := r.runStage(ctx, r.original, s)
		if err != nil {
			return err
		}
		if d.outcome != survived {
			return fmt.Errorf("the original on %s: %s %s: %s", driver, d.outcome, d.where, d.detail)
		}
	}
	return nil
}

// runAll runs the mutants that have no result yet, and returns all results in the order of the mutants.
func (r *runner) runAll(ctx context.Context, chosen []mutant, f flags, log io.Writer) ([]result, error) {
	store, err := openStore(filepath.Join(f.out, "results.jsonl"))
	if err != nil {
		return nil, err
	}
	defer store.close()
	results := make([]result, len(chosen))
	var todo []int
	for i, m := range chosen {
		if res, ok := store.find(r, m, f.trustKills, f.cached); ok {
			results[i] = res
			if res.Fingerprint != "" {
				r.finished[res.Fingerprint] = res
			}
			continue
		}
		todo = append(todo, i)
	}
	if f.cached {
		return slices.DeleteFunc(results, func(r result) bool { return r.ID == "" }), nil
	}
	fmt.Fprintf(log, "%d mutants, %d of them with a result already\n", len(chosen), len(chosen)-len(todo))
	var wg sync.WaitGroup
	next := make(chan int)
	errs := make([]error, f.jobs)
	var mu sync.Mutex
	done := 0
	for w := range f.jobs {
		wg.Go(func() {
			for i := range next {
				res, err := r.run(ctx, chosen[i])
				if err == nil {
					err = store.add(res)
				}
				if err != nil {
					errs[w] = fmt.Errorf("mutant %s: %w", chosen[i].ID, err)
					for range next { // let the others end
					}
					return
				}
				mu.Lock()
				results[i] = res
				done++
				fmt.Fprintf(log, "%d/%d %s: %s %s %s (%.1f s)\n", done, len(todo), res.ID, res.Outcome, res.Stage, res.Case, res.Seconds)
				mu.Unlock()
			}
		})
	}
	for _, i := range todo {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	return results, errors.Join(append(errs, ctx.Err())...)
}

// finish writes the report and the results.
func finish(r *runner, results []result, possible int, f flags, stdout io.Writer) error {
	command := "make mutation"
	flag.Visit(func(given *flag.Flag) {
		if given.Name != "out" && given.Name != "report" {
			command += fmt.Sprintf(" -%s=%s", given.Name, given.Value)
		}
	})
	command = strings.Replace(command, "make mutation -", "go run ./tools/mutate -", 1)
	rep := newReport(results, r.reasons, r.devices, command, possible)
	text, err := json.MarshalIndent(results, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(f.out, "mutation.json"), text, 0o666); err != nil {
		return err
	}
	var b strings.Builder
	if err := rep.markdown(&b); err != nil {
		return err
	}
	if f.report != "" {
		if err := os.WriteFile(f.report, []byte(b.String()), 0o666); err != nil {
			return err
		}
	}
	_, err = io.WriteString(stdout, b.String())
	return err
}

// store keeps results, one JSON object a line; later ones of a mutant stand for earlier ones.
type store struct {
	mu   sync.Mutex
	file *os.File
	byID map[string]result
}

func openStore(path string) (*store, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o666)
	if err != nil {
		return nil, err
	}
	s := &store{file: f, byID: map[string]result{}}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var res result
		if json.Unmarshal(lines.Bytes(), &res) == nil { // the last line of a run that was cut short may be half
			s.byID[res.ID] = res
		}
	}
	return s, lines.Err()
}

// find returns the result of a mutant when it still holds, or with any whatever result there is of it. Kills are taken over from another version on demand, survival is not;
// nor is what survived only the quick stages.
func (s *store) find(r *runner, m mutant, trustKills, any bool) (result, bool) {
	res, ok := s.byID[m.ID]
	if any && ok && res.Diff == m.Diff {
		return res, true
	}
	if !ok || res.Short && r.reasons[m.ID].text == "" && !r.quick && (res.Outcome == survived || res.Outcome == unitTests) {
		return result{}, false
	}
	res.Line, res.Why = m.Line, m.Why
	if res.Key == r.key(m) || trustKills && res.Outcome != survived && res.Outcome != unitTests && res.Diff == m.Diff {
		return res, true
	}
	return result{}, false
}

func (s *store) add(res result) error {
	text, err := json.Marshal(res)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.file.Write(append(text, '\n'))
	return err
}

func (s *store) close() { _ = s.file.Close() } // every line was written at once
