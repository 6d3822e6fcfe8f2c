// Command worker runs conformance cases on the Vulkan backend for tools/mutate, in a process that a broken kernel may
// take down. It reads one [job] as JSON from standard input, runs the cases in their order until one does not hold, and
// writes a [line] as JSON before and after each.
//
// The tool builds it with "go build -overlay": the mutants of Go code, and for those of shaders a version of
// shaders.SPIRV that reads the SPIR-V from the folder that MUTATE_SPV names. Built plainly it is the original.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan"
	"github.com/resnet-run/resnet-run/conformance"
)

// job is what to run; tools/mutate has the same type.
type job struct {
	Options    options  `json:"options"`
	Validation bool     `json:"validation"`
	Seconds    int      `json:"seconds"` // for one case
	Cases      []string `json:"cases"`
	GoOn       bool     `json:"go_on"` // after a case that does not hold
}

// options are those of package vulkan that lead to other code.
type options struct {
	Kernels      []string `json:"kernels,omitempty"`
	MaxChunk     int      `json:"max_chunk,omitempty"`
	ForceStaging bool     `json:"force_staging,omitempty"`
	Half         bool     `json:"half,omitempty"`       // store float16
	HalfTerms    bool     `json:"half_terms,omitempty"` // and multiply in it
	Fences       bool     `json:"fences,omitempty"`     // behind each tensor
}

// line is what the worker says: that a case begins, or how it went.
type line struct {
	Device  string  `json:"device,omitempty"`
	Begin   string  `json:"begin,omitempty"`
	Case    string  `json:"case,omitempty"`
	Status  string  `json:"status,omitempty"` // passed, failed, refused, hung or message
	Error   string  `json:"error,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	End     bool    `json:"end,omitempty"` // the last line
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func run() error {
	limitMemory()
	var j job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		return fmt.Errorf("read job: %w", err)
	}
	cases := map[string]conformance.Case{}
	for _, c := range conformance.Cases() {
		cases[c.Name] = c
	}
	w := &worker{job: j, out: json.NewEncoder(os.Stdout)}
	precision := vulkan.Float32
	if j.Options.Half {
		precision = vulkan.Half
	}
	if j.Options.HalfTerms {
		precision = vulkan.HalfArithmetic
	}
	w.backend = vulkan.New(vulkan.Options{
		Precision: precision,
		Unproved:  true, // a broken kernel that is struck off would not be noticed
		NoCache:   true, Validation: j.Validation, OnMessage: w.hear,
		Kernels: j.Options.Kernels, MaxChunk: j.Options.MaxChunk, ForceStaging: j.Options.ForceStaging, Fences: j.Options.Fences,
	})
	for _, name := range j.Cases {
		c, ok := cases[name]
		if !ok {
			return fmt.Errorf("read job: no case %q", name)
		}
		held, err := w.runCase(c)
		if err != nil {
			return err
		}
		if !held && !j.GoOn {
			break
		}
	}
	if w.device != nil {
		if err := w.device.Close(); err != nil {
			return fmt.Errorf("close device: %w", err)
		}
	}
	if m := w.heard(); m != "" { // the layer complains of what is left over when the device is closed
		w.say(line{Case: "close", Status: "message", Error: m})
	}
	w.say(line{End: true})
	return nil
}

type worker struct {
	job     job
	sayMu   sync.Mutex
	out     *json.Encoder
	backend backend.Backend
	device  backend.Device

	mu       sync.Mutex
	messages []string
}

func (w *worker) say(l line) {
	w.sayMu.Lock()
	defer w.sayMu.Unlock()
	if err := w.out.Encode(l); err != nil {
		os.Exit(1) // nobody listens any more
	}
}

// hear takes a message of the validation layer; drivers' threads call it.
func (w *worker) hear(m string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.messages = append(w.messages, m)
}

// heard returns the first message since the last call.
func (w *worker) heard() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.messages) == 0 {
		return ""
	}
	m := w.messages[0]
	w.messages = nil
	return m
}

// runCase runs a case and reports whether it held.
func (w *worker) runCase(c conformance.Case) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(w.job.Seconds)*time.Second)
	defer cancel()
	w.say(line{Begin: c.Name})
	begin := time.Now()
	stuck := time.AfterFunc(time.Duration(w.job.Seconds+5)*time.Second, func() {
		w.say(line{Case: c.Name, Status: "hung", Error: "no return after its context ended"})
		os.Exit(0)
	})
	defer stuck.Stop()
	dev, err := w.open(ctx, c.ClosesDevice)
	if err != nil {
		return false, fmt.Errorf("open device: %w", err)
	}
	err = conformance.Check(ctx, dev, c)
	l := line{Case: c.Name, Status: "passed", Seconds: time.Since(begin).Seconds()}
	switch {
	case conformance.IsRefusal(err):
		l.Status, l.Error = "refused", err.Error()
	case err != nil && errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		l.Status, l.Error = "hung", err.Error()
	case err != nil:
		l.Status, l.Error = "failed", err.Error()
	}
	if m := w.heard(); m != "" && l.Status == "passed" {
		l.Status, l.Error = "message", m
	}
	w.say(l)
	if l.Status == "hung" {
		os.Exit(0) // the device may never come back
	}
	return l.Status == "passed", nil
}

// open returns the device that cases share, or a fresh one for a case that closes it.
func (w *worker) open(ctx context.Context, fresh bool) (backend.Device, error) {
	if !fresh && w.device != nil {
		return w.device, nil
	}
	list, err := w.backend.Devices(ctx)
	if err != nil {
		return nil, err
	}
	dev, err := w.backend.Open(ctx, list[0].ID)
	if err != nil || fresh {
		return dev, err
	}
	w.device = dev
	w.say(line{Device: list[0].Name})
	return dev, nil
}
