package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/internal/compare"
	"github.com/resnet-run/resnet-run/internal/imaging"
	"github.com/resnet-run/resnet-run/internal/model"
	"github.com/resnet-run/resnet-run/internal/model/pictures"
	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/resnet-run/resnet-run/internal/seeded"
	"github.com/spf13/cobra"
)

// compareFlags are the flags of the command.
type compareFlags struct {
	model                         *modelFlags
	image, input, passes, threads string
	precision                     string
	format                        string
	noOrient                      bool
}

func (a *app) compareCommand() *cobra.Command {
	var f compareFlags
	cmd := &cobra.Command{
		Use:   "compare A B",
		Short: "Find the first layer where a device goes wrong",
		Long: `Run a network on two devices and find the first layer whose error leaves its bound.

A and B are backend[:device], for example vulkan:0, cpu, reference. Every layer's result is held against float64, for the inputs that
the device itself gave that layer, within the bound of float32 arithmetic: so the error is found where it is made. When all
layers are right one by one, but not the run as a whole, the first wrong one is found by bisection over the graph.

The table has the errors by layer; --format html is a page with a picture, svg the picture alone.

` + exitCodesHelp,
		Example: `  resnet-run compare --image photos/cat.jpg vulkan cpu
  resnet-run compare --model resnet50-0676ba61.pth --image cat.jpg --format html vulkan:0 reference > compare.html
  resnet-run compare --model resnet18 --weights random:1 --input random:7 vulkan:0 vulkan:1`,
		Args: usageArgs(cobra.ExactArgs(2)),
	}
	s := cmd.Flags()
	f.model = a.addModelFlags(s, true)
	s.StringVar(&f.image, "image", "", "`FILE` of a picture to run")
	s.StringVar(&f.input, "input", "", "random:`SEED`: numbers of mean 0 and standard deviation 1 instead of a picture (default random:1 without --image)")
	s.StringVar(&f.passes, "passes", "after", "compare the network `before|after` the optimisation passes")
	s.StringVar(&f.threads, "threads", cmp.Or(a.getenv("RESNET_RUN_THREADS"), "0"), "`N` threads at most on the CPU, 0 = as many as there are processors")
	s.BoolVar(&f.noOrient, "no-exif-orientation", false, "leave the picture as it is stored, as PIL does")
	addPrecision(s, &f.precision)
	addFormat(cmd, &f.format, report.ComparisonFormats)
	cmd.RunE = runs(func(cmd *cobra.Command, args []string) error { return a.compare(cmd.Context(), &f, [2]string(args)) })
	return cmd
}

func (a *app) compare(ctx context.Context, f *compareFlags, targets [2]string) (err error) {
	format, view, err := f.check()
	if err != nil {
		return failure(exitUsage, err)
	}
	m, err := a.loadModel(ctx, f.model)
	if err != nil {
		return err
	}
	if !m.HasWeights() {
		return failure(exitModel, fmt.Errorf("compare with model %s: want weights: a file, or --weights random:SEED", m.Name))
	}
	seen, err := m.Inspect(view)
	if err != nil {
		return failure(exitModel, err)
	}
	input, name, err := f.read(ctx, a, m)
	if err != nil {
		return err
	}
	var devices [2]backend.Device
	for i, t := range targets {
		target := newConformanceTarget(t, f.threads)
		if !strings.Contains(t, "@") { // that one of two is in another precision can be said by its name
			target.precision = f.precision
		}
		var dev backend.Device // err is the function's, which the closing below sets
		if dev, err = a.openDevice(ctx, target); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, dev.Close()) }()
		devices[i] = dev
	}
	r, err := compare.Run(ctx, seen.Graph, [][]float32{input}, devices, func(step string) { a.detail("%s", step) })
	if err != nil {
		return err
	}
	c := report.NewComparison(r, targets)
	c.Version, c.Model, c.Input, c.Passes = buildVersion(), m.Name, name, seen.Passes
	out := bufio.NewWriter(a.stdout)
	if err := errors.Join(report.WriteComparison(out, format, c), out.Flush()); err != nil {
		return err
	}
	if !c.Agree {
		return failure(exitNotConformant, errors.New(c.Verdict))
	}
	return nil
}

// check reads the flags that need no model.
func (f *compareFlags) check() (report.Format, model.View, error) {
	view := model.View{Batch: 1, AfterPasses: f.passes == "after"}
	format, err := report.ParseFormat(f.format, report.ComparisonFormats...)
	switch {
	case err != nil:
	case f.passes != "before" && f.passes != "after":
		err = fmt.Errorf("--passes: want before or after, got %.40q", f.passes)
	case f.image != "" && f.input != "":
		err = errors.New("--image and --input: want one")
	case f.image == "":
		_, err = f.seed()
	}
	return format, view, err
}

// seed reads --input.
func (f *compareFlags) seed() (uint64, error) {
	text, ok := strings.CutPrefix(cmp.Or(f.input, "random:1"), "random:")
	n, err := strconv.ParseUint(text, 10, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("--input: want random:SEED with a whole number, got %.40q", f.input)
	}
	return n, nil
}

// read makes the input of the network, and its name for the report.
func (f *compareFlags) read(ctx context.Context, a *app, m *model.Model) ([]float32, string, error) {
	elems := 3 * m.Side * m.Side
	if f.image == "" {
		seed, err := f.seed()
		return seeded.Uniform(seed, "input", elems, 1), fmt.Sprintf("random:%d", seed), err
	}
	list := pictures.Expand([]string{f.image}, a.stdin)
	if len(list) != 1 {
		return nil, "", failure(exitInput, fmt.Errorf("--image %s: want one picture, got %d", f.image, len(list)))
	}
	p := list[0]
	data := make([]float32, elems)
	err := func() error {
		if p.Err != nil {
			return p.Err
		}
		file, err := p.Open(ctx)
		if err != nil {
			return err
		}
		img, err := imaging.Decode(file, p.Name, imaging.DecodeOptions{IgnoreOrientation: f.noOrient})
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
		return m.Preprocess.Apply(img, data)
	}()
	if err != nil {
		return nil, "", failure(exitInput, fmt.Errorf("--image: %w", err))
	}
	return data, p.Name, nil
}
