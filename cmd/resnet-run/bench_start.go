package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/internal/bench"
)

// probed is what a process that timed a start says.
type probed struct {
	Start  bench.Start `json:"start"`
	Output []byte      `json:"output"` // float32, little-endian
}

// benchProbe is the child's side.
func (a *app) benchProbe(ctx context.Context, f *benchFlags, t bench.Target, n bench.Network) error {
	s, out, err := bench.TimeStart(ctx, t.Open, n, f.probePictures, f.batches[0])
	if err != nil {
		return noDevice(err)
	}
	x, err := graph.FromFloat32s(graph.NewShape(len(out)), out)
	if err != nil {
		return err
	}
	return json.NewEncoder(a.stdout).Encode(probed{s, x.Data})
}

// modelOptions are the flags that decide which network a model is.
var modelOptions = []string{"state-dict", "shortcut", "stride-on-1x1", "resize", "crop", "mean", "std", "interpolation", "labels", "weights", "threads", "tune"}

// benchStarter times starts in child processes.
func (a *app) benchStarter(f *benchFlags, models []string) bench.Starter {
	return func(ctx context.Context, d backend.DeviceInfo, network, pictures, batch int, dir string) (s bench.Start, output []float32, err error) {
		args := []string{"bench", "--probe", "--backend", d.Backend, "--device", d.ID, "--batch", strconv.Itoa(batch), "--probe-pictures", strconv.Itoa(pictures)}
		args = append(args, changed(f.model.set, modelOptions...)...)
		args = append(args, "--", models[network])
		cmd := a.self(ctx, args...)
		if cmd.Env == nil {
			cmd.Env = os.Environ()
		}
		cmd.Env = append(cmd.Env, cacheVariables(dir)...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			return s, nil, childError(err, stderr.String())
		}
		var p probed
		if err := json.Unmarshal(stdout.Bytes(), &p); err != nil {
			return s, nil, fmt.Errorf("read what the process said: %w", err)
		}
		x := graph.Tensor{Type: graph.F32(len(p.Output) / 4), Data: p.Output}
		return p.Start, x.Float32s(), nil
	}
}

// childError is the error of a process with the last line that it wrote for people, but for the one that points to its help.
func childError(err error, stderr string) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("start a process: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	last := len(lines) - 1
	if last > 0 && strings.HasPrefix(lines[last], "Run '") {
		last--
	}
	return fmt.Errorf("process: %w: %.500s", err, lines[last])
}

// cacheVariables move the caches of this program and of drivers to a folder: the user's cache folder on each system, those of
// Mesa and of NVIDIA.
func cacheVariables(dir string) []string {
	var vars []string
	for _, name := range []string{"XDG_CACHE_HOME", "LocalAppData", "MESA_SHADER_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH"} {
		vars = append(vars, name+"="+dir)
	}
	return vars
}

// turnsReady is the first line of --turns.
type turnsReady struct {
	Network      string             `json:"network"`
	Batch        int                `json:"batch"`
	Backend      string             `json:"backend"`
	Device       string             `json:"device"`
	Driver       string             `json:"driver"`
	FLOPs        int64              `json:"flops"` // of a run
	Verification bench.Verification `json:"verification"`
	// Output is the logits of the batch's pictures, row by row, in the first run.
	Output []float32 `json:"output"`
}

// benchTurns takes samples when standard input asks, so that a program can let networks take turns: a line with a number is
// answered by a line with that many samples.
func (a *app) benchTurns(ctx context.Context, f *benchFlags, t bench.Target, n bench.Network) (err error) {
	answers, err := bench.NewAnswers(ctx, n, 1)
	if err != nil {
		return err
	}
	dev, err := t.Open(ctx)
	if err != nil {
		return noDevice(err)
	}
	defer func() { err = errors.Join(err, bench.Close(ctx, dev)) }()
	p, err := bench.Prepare(ctx, dev, n, answers, f.batches[0], bench.Float32)
	if errors.Is(err, bench.ErrWrong) {
		return errors.Join(failure(exitNotConformant, err), bench.Close(ctx, p))
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bench.Close(ctx, p)) }()
	info, lines := dev.Info(), json.NewEncoder(a.stdout)
	if err := lines.Encode(turnsReady{n.Name, p.Batch, info.Backend, info.Name, info.Driver, p.Cost.FLOPs, p.Verification, p.Output()}); err != nil {
		return err
	}
	in := bufio.NewScanner(a.stdin)
	for in.Scan() {
		runs, err := strconv.Atoi(strings.TrimSpace(in.Text()))
		if err != nil || runs < 1 || runs > bench.MaxRuns {
			return failure(exitUsage, fmt.Errorf("--turns: want lines with a number from 1 to %d, got %.40q", bench.MaxRuns, in.Text()))
		}
		samples, err := p.Take(ctx, runs, f.opts.Transfers)
		if errors.Is(err, bench.ErrWrong) {
			return failure(exitNotConformant, err)
		}
		if err != nil {
			return err
		}
		if err := lines.Encode(map[string][]float64{"seconds": samples}); err != nil {
			return err
		}
	}
	return in.Err()
}

// isArchitecture reports whether a name is one of the family's.
func isArchitecture(name string) bool {
	_, err := resnet.Lookup(name)
	return err == nil
}
