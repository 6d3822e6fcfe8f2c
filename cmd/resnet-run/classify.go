package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/resnet-run/resnet-run/internal/imaging"
	"github.com/resnet-run/resnet-run/internal/model/pipeline"
	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/spf13/cobra"
)

func (a *app) classifyCommand() *cobra.Command {
	var topK int
	var run runFlags
	cmd := &cobra.Command{
		Use:   "classify PICTURE...",
		Short: "Name what is on pictures",
		Long: `Name what is on pictures: JPEG, PNG, GIF, BMP, WebP, TIFF.

PICTURE is a file, a folder (all pictures under it), a glob in quotes, or - for standard input. Results come in the order of
the arguments. A picture that cannot be read is reported, the others are classified all the same, and the exit code is 1.

` + exitCodesHelp,
		Example: `  resnet-run classify photo.jpg
  resnet-run classify --topk 3 --format json photos/ > labels.json
  resnet-run classify --model resnet50-0676ba61.pth --device 0 'holiday/*.jpg'`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
	}
	f := cmd.Flags()
	f.IntVarP(&topK, "topk", "k", 1, "`N` best classes for each picture")
	a.addRunFlags(cmd, &run, report.ClassificationFormats)
	cmd.RunE = runs(func(cmd *cobra.Command, args []string) error {
		if topK < 1 {
			return failure(exitUsage, fmt.Errorf("--topk: want at least 1, got %d", topK))
		}
		return a.classify(cmd.Context(), args, topK, &run)
	})
	return cmd
}

func (a *app) classify(ctx context.Context, args []string, topK int, f *runFlags) (err error) {
	s, err := a.open(ctx, f, nil, args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	out := bufio.NewWriter(a.stdout)
	results, err := report.NewClassifications(out, s.format)
	if err != nil {
		return err
	}
	_, err = s.run(ctx, func(r pipeline.Result) error {
		c := report.Classification{Image: r.Picture.Name, Model: s.model.Name, Backend: s.info.Backend, Device: s.info.Name}
		if r.Err == nil {
			c.Predictions, r.Err = s.model.Top(r.Logits(), topK)
		}
		if r.Err != nil {
			text := a.failed(s, r)
			c.Error = &text
		}
		return errors.Join(results.Write(c), out.Flush())
	})
	// What is done is worth having, also after an interruption.
	err = errors.Join(err, results.Close(), out.Flush())
	if err != nil {
		return err
	}
	return s.outcome()
}

// runFlags are those of the commands that run pictures through a model.
type runFlags struct {
	model    *modelFlags
	device   *deviceFlags
	formats  []report.Format
	format   string
	batch    int
	noOrient bool
}

func (a *app) addRunFlags(cmd *cobra.Command, r *runFlags, formats []report.Format) {
	f := cmd.Flags()
	r.formats = formats
	f.StringVarP(&r.format, "format", "f", string(formats[0]), "output `FORMAT`: "+report.Names(formats))
	f.IntVarP(&r.batch, "batch", "b", 0, "run `N` pictures at a time, 0 = choose")
	a.addPictureFlags(cmd, r)
}

// addPictureFlags adds those that do not depend on how results are written.
func (a *app) addPictureFlags(cmd *cobra.Command, r *runFlags) {
	f := cmd.Flags()
	f.BoolVar(&r.noOrient, "no-exif-orientation", false, "leave pictures as they are stored, as PIL does")
	r.device = a.addDeviceFlags(f)
	addAutoPrecision(f, &r.device.precision)
	r.device.addScheduleFlags(f)
	a.addTuneFlag(f, r.device)
	r.model = a.addModelFlags(f, true)
}

func (r *runFlags) options() pipeline.Options {
	return pipeline.Options{Decode: imaging.DecodeOptions{IgnoreOrientation: r.noOrient}}
}
