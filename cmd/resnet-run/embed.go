package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/resnet-run/resnet-run/graph/head"
	"github.com/resnet-run/resnet-run/internal/model/pipeline"
	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/resnet-run/resnet-run/internal/similar"
	"github.com/spf13/cobra"
)

func (a *app) embedCommand() *cobra.Command {
	var normalize bool
	var run runFlags
	cmd := &cobra.Command{
		Use:   "embed PICTURE...",
		Short: "Make vectors of pictures, or find which are alike",
		Long: `Make vectors of pictures: what a network makes of them before it names them, the means of its last features over all places.
Pictures of like things have like vectors, also of things that the network has no name for.

The table says for each picture which other one is most similar, by the cosine of the angle between their vectors; each is compared with
each. The other formats have the vectors themselves: csv and ndjson as text, npy for numpy.load, a row of NaN for each picture
that failed.

PICTURE is a file, a folder (all pictures under it), a glob in quotes, or - for standard input, as with classify.

` + exitCodesHelp,
		Example: `  resnet-run embed --model resnet50-0676ba61.pth holiday/
  resnet-run embed --format npy --normalize holiday/ > holiday.npy`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
	}
	f := cmd.Flags()
	f.BoolVar(&normalize, "normalize", false, "scale vectors to length 1")
	a.addRunFlags(cmd, &run, report.EmbeddingFormats)
	cmd.RunE = runs(func(cmd *cobra.Command, args []string) error {
		if normalize && run.format == string(report.Table) {
			return failure(exitUsage, errors.New("--normalize: the table has no vectors: want another --format"))
		}
		return a.embed(cmd.Context(), args, normalize, &run)
	})
	return cmd
}

func (a *app) embed(ctx context.Context, args []string, normalize bool, f *runFlags) (err error) {
	if f.format == string(report.NPY) && isTerminal(a.stdout) {
		return failure(exitUsage, errors.New("--format npy is not text: send it to a file or another program"))
	}
	s, err := a.open(ctx, f, head.Embedding, args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	out := bufio.NewWriter(a.stdout)
	results, err := a.embeddings(ctx, out, s)
	if err != nil {
		return err
	}
	_, err = s.run(ctx, func(r pipeline.Result) error {
		e := report.Embedding{Image: r.Picture.Name, Model: s.model.Name, Backend: s.info.Backend, Device: s.info.Name}
		if r.Err == nil {
			e.Embedding = r.Outputs[0]
			r.Err = usable(e.Embedding, normalize || s.format == report.Table)
		}
		if r.Err != nil {
			text := a.failed(s, r)
			e.Error, e.Embedding = &text, nil
		}
		return errors.Join(results.Write(e), out.Flush())
	})
	err = errors.Join(err, results.Close(), out.Flush())
	if err != nil {
		return err
	}
	return s.outcome()
}

// usable checks a vector, and scales it when asked to.
func usable(v []float32, normalize bool) error {
	for i, x := range v {
		if x-x != 0 {
			return fmt.Errorf("read embedding: want finite numbers, got %v at %d", x, i)
		}
	}
	if !normalize {
		return nil
	}
	return similar.Normalize(v)
}

// embeddings is where the vectors of a session go.
func (a *app) embeddings(ctx context.Context, out *bufio.Writer, s *session) (report.Sequence[report.Embedding], error) {
	if s.format == report.Table {
		return &likeness{ctx: ctx, out: out}, nil
	}
	return report.NewEmbeddings(out, s.format, len(s.pictures), s.runner.Signature().Outputs[0].Type.Shape.Dim(1))
}

// likeness keeps the vectors until all are there, and then tells which are alike.
type likeness struct {
	ctx     context.Context
	out     *bufio.Writer
	names   []string
	vectors [][]float32
}

func (l *likeness) Write(e report.Embedding) error {
	if e.Error == nil {
		l.names, l.vectors = append(l.names, e.Image), append(l.vectors, e.Embedding)
	}
	return nil
}

func (l *likeness) Close() error {
	matches, err := similar.Nearest(l.ctx, l.vectors)
	if err != nil {
		return err
	}
	list := make([]report.Similar, len(matches))
	for i, m := range matches {
		list[i] = report.Similar{Image: l.names[i], Cosine: m.Cosine}
		if m.Index >= 0 {
			list[i].Nearest = l.names[m.Index]
		}
	}
	return report.WriteSimilar(l.out, list)
}
