package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/internal/hub"
	"github.com/resnet-run/resnet-run/internal/imaging"
	"github.com/resnet-run/resnet-run/internal/model"
	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/spf13/pflag"
)

// modelFlags choose a model and change its preset.
type modelFlags struct {
	set                      *pflag.FlagSet
	model                    string
	opts                     model.Options
	shortcut                 string
	resize, crop             int
	mean, std, interpolation string
}

// addModelFlags adds the flags; the commands that take the model as an argument have no --model.
func (a *app) addModelFlags(f *pflag.FlagSet, withModel bool) *modelFlags {
	m := &modelFlags{set: f}
	if withModel {
		f.StringVarP(&m.model, "model", "m", cmp.Or(a.getenv("RESNET_RUN_MODEL"), model.DefaultName), "`MODEL`: a bundled name, a file of weights or ONNX, hf:ORG/NAME, torchvision:NAME, or an architecture with --weights")
	}
	f.StringVar(&m.opts.Weights, "weights", "", "weights of an architecture: a `FILE`, or random:SEED for tests and benchmarks")
	f.StringVar(&m.opts.StateDict, "state-dict", "", "`PATH` of the state dict in a PyTorch file that holds several")
	f.StringVar(&m.shortcut, "shortcut", "", "`KIND` of the shortcuts where a weights file leaves it open: projection, pool-projection or zero-pad")
	f.BoolVar(&m.opts.Detect.StrideOn1x1, "stride-on-1x1", false, "bottlenecks have their stride on the first 1x1 convolution (the weights do not tell)")
	f.IntVar(&m.resize, "resize", 0, "resize the shorter side to `PIXELS`, 0 = leave it (default: the model's preset)")
	f.IntVar(&m.crop, "crop", 0, "cut out a central square of `PIXELS`; without --resize, one that is larger than what the preset resizes to enlarges that too (default: the model's preset)")
	f.StringVar(&m.mean, "mean", "", "mean `R,G,B` of the training pictures, 0 to 1 (default: the model's preset)")
	f.StringVar(&m.std, "std", "", "standard deviation `R,G,B` (default: the model's preset)")
	f.StringVar(&m.interpolation, "interpolation", "", "`FILTER` for resizing: nearest, box, bilinear, bicubic, lanczos (default: the model's preset)")
	f.StringVar(&m.opts.Overrides.LabelsFile, "labels", "", "`FILE` with the names of the classes, one a line (default: the model's preset)")
	return m
}

// options reads the flags.
func (m *modelFlags) options() (model.Options, error) {
	o := m.opts
	if m.shortcut != "" {
		var s resnet.Shortcut
		if err := s.UnmarshalText([]byte(m.shortcut)); err != nil {
			return o, fmt.Errorf("--shortcut: %w", err)
		}
		o.Detect.Shortcut = s
	}
	if m.set.Changed("resize") {
		o.Overrides.Resize = &m.resize
	}
	if m.set.Changed("crop") {
		o.Overrides.Crop = &m.crop
	}
	for _, c := range []struct {
		flag, text string
		to         **[3]float32
	}{{"mean", m.mean, &o.Overrides.Mean}, {"std", m.std, &o.Overrides.Std}} {
		if m.set.Changed(c.flag) {
			v, err := model.ParseChannels("--"+c.flag, c.text)
			if err != nil {
				return o, err
			}
			*c.to = &v
		}
	}
	if m.set.Changed("interpolation") {
		in, err := imaging.ParseInterpolation(m.interpolation)
		if err != nil {
			return o, fmt.Errorf("--interpolation: %w", err)
		}
		o.Overrides.Interpolation = &in
	}
	return o, nil
}

// fetch gets published weights, with a bar on a terminal when they come over a network, and returns their path.
func (a *app) fetch(ctx context.Context, ref string) (string, error) {
	h, err := hub.FromEnvironment(a.getenv)
	if err != nil {
		return "", err
	}
	bars := map[string]*progress{}
	h.Progress = func(file string, done, total int64) {
		if bars[file] == nil {
			a.detail("downloading %s of %s", file, ref)
			bars[file] = a.downloadBar(file, total)
		}
		bars[file].set(done)
	}
	h.Note = func(text string) { a.note("%s: %s", ref, report.Printable(text)) }
	path, err := h.Get(ctx, ref)
	for _, b := range bars {
		b.finish()
	}
	return path, err
}

// loadModel loads what the flags choose and, when asked for more, says what that is.
func (a *app) loadModel(ctx context.Context, f *modelFlags) (*model.Model, error) {
	opts, err := f.options()
	if err != nil {
		return nil, failure(exitUsage, err)
	}
	ref := f.model
	for _, name := range []*string{&ref, &opts.Weights} {
		if hub.Is(*name) {
			if *name, err = a.fetch(ctx, *name); err != nil {
				return nil, failure(exitModel, err)
			}
		}
	}
	m, err := model.Load(ctx, ref, opts)
	if err != nil {
		return nil, failure(exitModel, err)
	}
	if ref != f.model {
		m.Name = f.model
	}
	a.detail("model: %s (%s), weights: %s", m.Name, m.Architecture(), m.Weights)
	a.detail("preprocess: %s", report.NewPreprocess(m.Preprocess, m.PreprocessFrom))
	a.detail("labels: %d, from %s", len(m.Labels), m.LabelsFrom)
	return m, nil
}
