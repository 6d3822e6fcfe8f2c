package main

import (
	"io"

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
