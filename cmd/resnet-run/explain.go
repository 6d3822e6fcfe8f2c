package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/resnet-run/resnet-run/graph/head"
	"github.com/resnet-run/resnet-run/internal/heat"
	"github.com/resnet-run/resnet-run/internal/model"
	"github.com/resnet-run/resnet-run/internal/model/pictures"
	"github.com/resnet-run/resnet-run/internal/model/pipeline"
	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/spf13/cobra"
)

// explainFolder is where heat maps go when nothing else is said.
const explainFolder = "explained"

// The sizes of drawn pictures, in pixels of the longer side.
const (
	usualExplainSize = 512
	maxExplainSize   = 4096
)

// explainFlags are those of explain beside the ones that all commands with pictures have.
type explainFlags struct {
	topK    int
	classes []string
	out     string
	size    int
}

func (a *app) explainCommand() *cobra.Command {
	var e explainFlags
	var run runFlags
	cmd := &cobra.Command{
		Use:   "explain PICTURE...",
		Short: "Show where on pictures the network found what it names",
		Long: `Show where on pictures the network found what it names: a heat map for each class, drawn on the picture.

The map is exact, not an estimate: a ResNet takes the mean of its last features over all places and weighs it for each class, so that
the logit of a class is the mean of what each place adds to it (class activation maps, Zhou et al. 2016; for such networks Grad-CAM is the
same but for a factor and the bias). Yellow is the place that adds most; what has no colour adds nothing or takes from the logit; what is
dark the network does not see.

The table says where on the picture, in pixels from the left and the top, each class is found most, and which file of --out has the
picture with the map. json and ndjson have the maps in numbers, html is one page with all pictures.

PICTURE is a file, a folder (all pictures under it), a glob in quotes, or - for standard input, as with classify.

` + exitCodesHelp,
		Example: `  resnet-run explain --model resnet50-0676ba61.pth holiday/dog.jpg
  resnet-run explain --topk 3 --format html photos/ > page.html
  resnet-run explain --class cat --class dog --out maps pets/`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
	}
	f := cmd.Flags()
	f.IntVarP(&e.topK, "topk", "k", 1, "`N` best classes for each picture")
	f.StringArrayVar(&e.classes, "class", nil, "`CLASS` to look for instead of the best ones, by its label or number; may be given again")
	f.StringVar(&e.out, "out", "", "`DIR` for the pictures with their maps, PNG (default \""+explainFolder+"\" with --format table, none with the others)")
	f.IntVar(&e.size, "size", usualExplainSize, "draw pictures with a longer side of `PIXELS`")
	a.addRunFlags(cmd, &run, report.ExplanationFormats)
	cmd.RunE = runs(func(cmd *cobra.Command, args []string) error {
		switch {
		case e.topK < 1:
			return failure(exitUsage, fmt.Errorf("--topk: want at least 1, got %d", e.topK))
		case len(e.classes) > 0 && f.Changed("topk"):
			return failure(exitUsage, errors.New("--topk and --class: want one of them"))
		case e.size < 16 || e.size > maxExplainSize:
			return failure(exitUsage, fmt.Errorf("--size: want 16 to %d, got %d", maxExplainSize, e.size))
		case f.Changed("size") && e.out == "" && (run.format == string(report.JSON) || run.format == string(report.NDJSON)):
			return failure(exitUsage, fmt.Errorf("--size: nothing is drawn with --format %s and without --out", run.format))
		}
		return a.explain(cmd.Context(), args, &e, &run)
	})
	return cmd
}

func (a *app) explain(ctx context.Context, args []string, e *explainFlags, f *runFlags) (err error) {
	s, err := a.open(ctx, f, head.ClassMaps, args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	x, err := newExplainer(s, e)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(a.stdout)
	by := report.Explanation{Model: s.model.Name, Backend: s.info.Backend, Device: s.info.Name}
	results, err := report.NewExplanations(out, s.format, by)
	if err != nil {
		return err
	}
	_, err = s.run(ctx, func(r pipeline.Result) error {
		result := by
		result.Image = r.Picture.Name
		if r.Err == nil {
			r.Err = x.explain(r, &result)
		}
		if r.Err == nil {
			if err := x.write(&result); err != nil {
				return err
			}
		}
		if r.Err != nil {
			text := a.failed(s, r)
			result = report.Explanation{Image: r.Picture.Name, Model: by.Model, Backend: by.Backend, Device: by.Device, Error: &text}
		}
		return errors.Join(results.Write(result), out.Flush())
	})
	err = errors.Join(err, results.Close(), out.Flush())
	if err != nil {
		return err
	}
	return s.outcome()
}

// explainer makes explanations of results.
type explainer struct {
	model         *model.Model
	topK          int
	classes       []int // instead of the best
	height, width int   // of the maps
	format        report.Format
	dir           string          // empty for no files
	files         map[string]bool // that were written, and that are read: paths
}

func newExplainer(s *session, e *explainFlags) (*explainer, error) {
	x := &explainer{model: s.model, topK: e.topK, format: s.format, dir: e.out, files: map[string]bool{}}
	for _, name := range e.classes {
		i, err := s.model.Class(name)
		if err != nil {
			return nil, failure(exitUsage, fmt.Errorf("--class: %w", err))
		}
		x.classes = append(x.classes, i)
	}
	_, _, x.height, x.width = s.runner.Signature().Outputs[1].Type.Shape.NCHW()
	if x.dir == "" && x.format == report.Table {
		x.dir = explainFolder
	}
	if x.draws() {
		s.options.Thumbnail = e.size
	}
	if x.dir == "" {
		return x, nil
	}
	if err := os.MkdirAll(x.dir, 0o755); err != nil {
		return nil, err
	}
	for _, p := range s.pictures {
		x.files[whole(p.Name)] = true
	}
	return x, nil
}

// draws reports whether pictures with maps are wanted.
func (x *explainer) draws() bool { return x.dir != "" || x.format == report.HTML }

// whole is a path that can be compared with others: that of the file itself, whatever links lead to it.
func whole(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil { // a file that is not there yet
		return filepath.Join(dir, filepath.Base(abs))
	}
	return abs
}

// explain fills in what is found on a picture.
func (x *explainer) explain(r pipeline.Result, to *report.Explanation) error {
	found, err := x.predictions(r.Logits())
	if err != nil {
		return err
	}
	to.Width, to.Height, to.Seen = r.Width, r.Height, x.model.Preprocess.Seen(r.Width, r.Height)
	if x.format == report.HTML {
		to.Picture = r.Thumbnail.RGBA()
	}
	places := x.height * x.width
	for _, p := range found {
		m, err := heat.NewMap(x.width, x.height, r.Outputs[1][p.Index*places:(p.Index+1)*places])
		if err != nil {
			return fmt.Errorf("class %s: %w", p.Label, err)
		}
		c := report.ExplainedClass{Prediction: p}
		for y := range x.height {
			c.Map = append(c.Map, m.Values[y*x.width:(y+1)*x.width])
		}
		u, v := m.Peak()
		c.Peak = [2]int{pixel(to.Seen.Left, to.Seen.Right, u, r.Width), pixel(to.Seen.Top, to.Seen.Bottom, v, r.Height)}
		if x.draws() {
			c.Drawn = heat.Draw(r.Thumbnail, to.Seen, m)
		}
		to.Classes = append(to.Classes, c)
	}
	return nil
}

// write writes what was drawn, if files are wanted.
func (x *explainer) write(e *report.Explanation) error {
	for i := range e.Classes {
		if x.dir == "" {
			return nil
		}
		c := &e.Classes[i]
		c.File = x.file(e.Image, c.Label, len(e.Classes) > 1)
		if err := writeWhole(c.File, func(w io.Writer) error { return png.Encode(w, c.Drawn) }); err != nil {
			return fmt.Errorf("write heat map of %s: %w", e.Image, err)
		}
	}
	return nil
}

// predictions are the best classes, or those that were asked for.
func (x *explainer) predictions(logits []float32) ([]model.Prediction, error) {
	if x.classes == nil {
		return x.model.Top(logits, x.topK)
	}
	all, err := x.model.Top(logits, len(logits))
	if err != nil {
		return nil, err
	}
	byIndex := make([]model.Prediction, len(all))
	for _, p := range all {
		byIndex[p.Index] = p
	}
	var found []model.Prediction
	for _, i := range x.classes {
		found = append(found, byIndex[i])
	}
	return found, nil
}

// pixel is where a point of the seen part lies on a side of n pixels; padding about the picture belongs to its edge.
func pixel(from, to, at float64, n int) int {
	return min(max(int((from+(to-from)*at)*float64(n)), 0), n-1)
}

// file names the picture of a class, unlike all others of this run and unlike what is read.
func (x *explainer) file(image, label string, withLabel bool) string {
	base := "stdin"
	if image != pictures.Stdin {
		base = filepath.Base(image)
		base = strings.TrimSuffix(base, filepath.Ext(base))
	}
	if withLabel {
		base += "." + slug(label)
	}
	path := filepath.Join(x.dir, base+".heat.png")
	for i := 2; x.files[whole(path)]; i++ {
		path = filepath.Join(x.dir, fmt.Sprintf("%s-%d.heat.png", base, i))
	}
	x.files[whole(path)] = true
	return path
}

// slug is a label as a part of a file's name.
func slug(label string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, label)
}
