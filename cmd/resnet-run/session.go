package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/internal/model"
	"github.com/resnet-run/resnet-run/internal/model/pictures"
	"github.com/resnet-run/resnet-run/internal/model/pipeline"
	"github.com/resnet-run/resnet-run/internal/report"
)

// session is a model on a device with the pictures for it.
type session struct {
	format   report.Format
	model    *model.Model
	device   backend.Device
	info     backend.DeviceInfo
	runner   *pipeline.Runner
	pictures []pictures.Picture
	options  pipeline.Options
	progress *progress
	failures int // pictures that failed
}

// open gets everything ready that the flags ask for, for the pictures that args mean; a view that is not nil is computed in place of the model. What is wrong with the usage is found before anything slow is done.
func (a *app) open(ctx context.Context, f *runFlags, view pipeline.View, args []string) (*session, error) {
	format, err := f.check()
	if err != nil {
		return nil, err
	}
	m, err := a.loadModel(ctx, f.model)
	if err != nil {
		return nil, err
	}
	return a.openWith(ctx, f, format, m, view, pictures.Expand(args, a.stdin))
}

func (f *runFlags) check() (report.Format, error) {
	if f.batch < 0 {
		return "", failure(exitUsage, fmt.Errorf("--batch: want 0 or more, got %d", f.batch))
	}
	format, err := report.ParseFormat(f.format, f.formats...)
	return format, failure(exitUsage, err)
}

func (a *app) openWith(ctx context.Context, f *runFlags, format report.Format, m *model.Model, view pipeline.View, list []pictures.Picture) (*session, error) {
	if err := fits(m, view); err != nil {
		return nil, failure(exitModel, err)
	}
	dev, err := a.openDevice(ctx, f.device)
	if err != nil {
		return nil, err
	}
	s := &session{format: format, model: m, device: dev, info: dev.Info(), pictures: list, options: f.options()}
	if s.runner, err = pipeline.NewRunner(ctx, dev, m, view, f.batch, len(list)); err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	a.detail("batch: %d", s.runner.MaxBatch())
	s.progress = a.newProgress(len(list), format)
	return s, nil
}

// fits tells whether there is such a view of the model, before a device is asked for.
func fits(m *model.Model, view pipeline.View) error {
	if view == nil {
		return nil
	}
	g, err := m.Graph(1)
	if err == nil {
		_, err = view(g)
	}
	if err != nil {
		return fmt.Errorf("model %s: %w", m.Name, err)
	}
	return nil
}

// run classifies the pictures.
func (s *session) run(ctx context.Context, emit func(pipeline.Result) error) (pipeline.Times, error) {
	defer s.progress.finish()
	return pipeline.Run(ctx, s.runner, s.pictures, s.options, func(r pipeline.Result) error {
		err := emit(r)
		s.progress.add()
		return err
	})
}

// failed counts a picture that failed and tells people about it, and returns the text of its error.
func (a *app) failed(s *session, r pipeline.Result) string {
	s.failures++
	s.progress.above(func() { a.report(r.Picture.Name, r.Err) })
	return r.Err.Error()
}

// outcome is the error of a session in which pictures failed, and all else was done.
func (s *session) outcome() error {
	if s.failures == 0 {
		return nil
	}
	return failure(exitInput, fmt.Errorf("%d of %d pictures failed", s.failures, len(s.pictures)))
}

// grace is how long an interrupted program waits for a device to finish the work that it cannot take back.
const grace = 2 * time.Second

// close releases the device. After an interruption it does not wait for ever: a software driver may take many seconds to
// come to the end of a batch, and the program ends anyway.
func (s *session) close(ctx context.Context) error {
	closed := make(chan error, 1)
	go func() { closed <- errors.Join(s.runner.Close(), s.device.Close()) }()
	if ctx.Err() == nil {
		return <-closed
	}
	select {
	case err := <-closed:
		return err
	case <-time.After(grace):
		return nil
	}
}

// report tells people about a picture that failed.
func (a *app) report(name string, err error) {
	text := err.Error()
	if !strings.Contains(text, name) || name == pictures.Stdin {
		text = name + ": " + text
	}
	a.note("%s", report.Printable(text))
}
