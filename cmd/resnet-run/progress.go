package main

import (
	"io"
	"sync"
	"time"

	"github.com/resnet-run/resnet-run/backend/vulkan"
	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/schollz/progressbar/v3"
)

// progressFrom is the number of pictures from which a bar is worth its line.
const progressFrom = 16

// progress is a bar on the terminal, or nothing.
type progress struct{ bar *progressbar.ProgressBar }

// newProgress shows a bar for many pictures when stderr is a terminal, unless results stream to a terminal themselves.
func (a *app) newProgress(total int, format report.Format) *progress {
	streams := format != report.Table && isTerminal(a.stdout)
	if total < progressFrom || streams || !isTerminal(a.stderr) {
		return &progress{}
	}
	return newBar(a.stderr, total)
}

func newBar(w io.Writer, total int) *progress {
	return &progress{progressbar.NewOptions(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription("classifying"),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("images"),
		progressbar.OptionThrottle(100e6), // nanoseconds
		progressbar.OptionClearOnFinish(),
		progressbar.OptionUseANSICodes(true),
	)}
}

// newTimedBar is a bar that says how long it will take.
func newTimedBar(w io.Writer, what string, total int) *progress {
	return &progress{progressbar.NewOptions(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionUseANSICodes(true),
	)}
}

// downloadBar shows how much of a file is here, on a terminal.
func (a *app) downloadBar(file string, total int64) *progress {
	const worth = 1 << 20 // bytes
	if total < worth || !isTerminal(a.stderr) {
		return &progress{}
	}
	return &progress{progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(a.stderr),
		progressbar.OptionSetDescription("downloading "+report.Printable(file)),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionUseANSICodes(true),
	)}
}

func (p *progress) set(done int64) {
	if p.bar != nil {
		_ = p.bar.Set64(done) // a bar that cannot be drawn is no reason to stop
	}
}

func (p *progress) add() {
	if p.bar != nil {
		_ = p.bar.Add(1) // a bar that cannot be drawn is no reason to stop
	}
}

// above prints something where the bar is; the bar comes back with the next step.
func (p *progress) above(print func()) {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	print()
}

func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// proofBar is a bar for the proofs of kernels, which are made when a device meets a network for the first time: nobody should wait for seconds and not
// know for what.
type proofBar struct {
	w        io.Writer
	patience time.Duration // how long proofs may take before they are worth a line

	mu    sync.Mutex // several devices may compile at once; the bar is of the one that began
	of    string     // its name, empty while there is none
	since time.Time
	bar   *progress
}

func (p *proofBar) on(e vulkan.ProofEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.of == "" && e.Done < e.Total:
		p.of, p.since = e.Device, time.Now()
	case p.of != e.Device:
		return
	}
	switch {
	case e.Done == e.Total:
		if p.bar != nil {
			p.bar.finish()
		}
		p.of, p.bar = "", nil
	case p.bar != nil:
		p.bar.add()
	case time.Since(p.since) >= p.patience:
		p.bar = newTimedBar(p.w, "proving kernels on "+report.Printable(e.Device)+", once", e.Total)
		_ = p.bar.bar.Set(e.Done)
	}
}
