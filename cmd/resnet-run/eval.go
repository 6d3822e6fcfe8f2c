package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/resnet-run/resnet-run/internal/model/pictures"
	"github.com/resnet-run/resnet-run/internal/model/pipeline"
	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/spf13/cobra"
)

func (a *app) evalCommand() *cobra.Command {
	var dataset string
	var limit int
	var run runFlags
	cmd := &cobra.Command{
		Use:   "eval --dataset DIR",
		Short: "Measure a model's accuracy on a labelled set of pictures",
		Long: `Measure a model's accuracy on a labelled set of pictures: top-1 and top-5, confusion matrix, speed, and where the
time went.

DIR has one folder a class. The folders are matched to the model's labels by name; where that does not name them all,
they are taken in sorted order, as torchvision's ImageFolder does. DIR may also be a tar file of such folders (.tar or .tar.gz),
which is read into memory: unpack sets above 1 GiB.

` + exitCodesHelp,
		Example: `  resnet-run eval --dataset cifar10/test
  resnet-run eval --dataset imagenet/val --model resnet50-0676ba61.pth --limit 1000 --format json`,
		Args: usageArgs(cobra.NoArgs),
	}
	f := cmd.Flags()
	f.StringVar(&dataset, "dataset", "", "`DIR` with one folder of pictures a class, or a tar file of one")
	f.IntVar(&limit, "limit", 0, "take only `N` pictures, spread evenly over the set, 0 = all")
	a.addRunFlags(cmd, &run, report.EvaluationFormats)
	cmd.RunE = runs(func(cmd *cobra.Command, _ []string) error {
		switch {
		case dataset == "":
			return failure(exitUsage, errors.New("--dataset: want a folder, got none"))
		case limit < 0:
			return failure(exitUsage, fmt.Errorf("--limit: want 0 or more, got %d", limit))
		}
		return a.eval(cmd.Context(), dataset, limit, &run)
	})
	return cmd
}

func (a *app) eval(ctx context.Context, dataset string, limit int, f *runFlags) (err error) {
	format, err := f.check()
	if err != nil {
		return err
	}
	m, err := a.loadModel(ctx, f.model)
	if err != nil {
		return err
	}
	set, err := pictures.OpenSet(dataset, m.Labels)
	if err != nil {
		return err
	}
	if !set.ByName {
		a.note("the folders of %s are not named like the model's labels: they are taken in sorted order", dataset)
	}
	set.Limit(limit)
	s, err := a.openWith(ctx, f, format, m, nil, set.Pictures)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	e := report.Evaluation{
		Model: m.Name, Backend: s.info.Backend, Device: s.info.Name, Dataset: dataset,
		Batch: s.runner.MaxBatch(), MatchedByName: set.ByName, Evaluation: m.NewEvaluation(),
	}
	times, err := s.run(ctx, func(r pipeline.Result) error {
		if r.Err == nil {
			r.Err = e.Add(r.Picture.Class, r.Logits())
		}
		if r.Err != nil {
			e.Failed = append(e.Failed, report.Failure{Image: r.Picture.Name, Error: a.failed(s, r)})
		}
		return nil
	})
	if err != nil {
		return err
	}
	e.SetTimes(times)
	out := bufio.NewWriter(a.stdout)
	if err := errors.Join(report.WriteEvaluation(out, format, e), out.Flush()); err != nil {
		return err
	}
	return s.outcome()
}
