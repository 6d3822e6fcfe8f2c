package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph/head"
	"github.com/resnet-run/resnet-run/internal/heat"
	"github.com/resnet-run/resnet-run/internal/model/pictures"
	"github.com/resnet-run/resnet-run/internal/model/pipeline"
	"github.com/resnet-run/resnet-run/internal/viewer"
	"github.com/spf13/cobra"
)

func (a *app) viewCommand() *cobra.Command {
	run := runFlags{batch: 1} // a picture is run when it is shown
	cmd := &cobra.Command{
		Use:   "view [PICTURE...]",
		Short: "Look at pictures in a window, with what the network sees and where",
		Long: `Look at pictures in a window: each large, with the heat map of a class over it (see explain), beside it the best classes with their
probabilities and logits, and how long the run took.

  right, space   the next picture         up, down   choose the class whose map is drawn
  left           the picture before       h          heat map on or off
                                          q, escape  close

Files and folders can be dropped on the window. PICTURE is a file, a folder (all pictures under it), a glob in quotes, or - for standard
input, as with classify. A picture that cannot be read says why in the window and on standard error.

The window needs a build with the tag "viewer": 'make view', or go build -tags viewer, with the development files of X11.

` + exitCodesHelp,
		Example: `  resnet-run view photos
  resnet-run view --model resnet50-0676ba61.pth --device 0 'holiday/*.jpg'`,
		Args: usageArgs(cobra.ArbitraryArgs),
	}
	a.addPictureFlags(cmd, &run)
	cmd.RunE = runs(func(cmd *cobra.Command, args []string) error { return a.view(cmd.Context(), args, &run) })
	return cmd
}

// viewIn shows pictures in a window that is open.
func (a *app) viewIn(ctx context.Context, w viewer.Window, args []string, f *runFlags) (err error) {
	m, err := a.loadModel(ctx, f.model)
	if err != nil {
		return err
	}
	var view pipeline.View = head.ClassMaps
	if err := fits(m, view); errors.Is(err, head.ErrOther) {
		a.note("pictures are shown without heat maps: %v", err)
		view = nil
	}
	s, err := a.openWith(ctx, f, "", m, view, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	l := newLooker(a, s)
	v := viewer.New(viewer.About{Model: m.Name, Device: deviceName(s.info)}, readOnce(pictures.Expand(args, a.stdin)))
	if err := viewer.Run(ctx, w, v, l.look); err != nil {
		return err
	}
	if len(l.failed) > 0 {
		return failure(exitInput, fmt.Errorf("%d of %d pictures failed", len(l.failed), len(l.seen)))
	}
	return nil
}

// deviceName is a device as the window names it.
func deviceName(info backend.DeviceInfo) string { return info.Name + ", " + info.Backend }

// looker runs single pictures. One look at a time.
type looker struct {
	app          *app
	s            *session
	seen, failed map[string]bool // by name: a picture may be looked at again
}

func newLooker(a *app, s *session) *looker {
	s.options.Thumbnail, s.options.KeepSmall = viewer.KeptSide, true
	return &looker{app: a, s: s, seen: map[string]bool{}, failed: map[string]bool{}}
}

// look runs a picture; it is a viewer.Look.
func (l *looker) look(ctx context.Context, p pictures.Picture) (viewer.Result, error) {
	var result viewer.Result
	t, err := pipeline.Run(ctx, l.s.runner, []pictures.Picture{p}, l.s.options, func(r pipeline.Result) error {
		result = l.result(r)
		return nil
	})
	if err != nil {
		return viewer.Result{}, err
	}
	result.Took = t.Backend
	if result.Err != nil && !l.failed[p.Name] {
		l.failed[p.Name] = true
		l.app.report(p.Name, result.Err)
	}
	l.seen[p.Name] = true
	return result, nil
}

// result takes out what is shown.
func (l *looker) result(r pipeline.Result) viewer.Result {
	if r.Err != nil {
		return viewer.Result{Err: r.Err}
	}
	found, err := l.s.model.Top(r.Logits(), viewer.ClassCount)
	if err != nil {
		return viewer.Result{Err: err}
	}
	to := viewer.Result{Picture: r.Thumbnail, Width: r.Width, Height: r.Height, Seen: l.s.model.Preprocess.Seen(r.Width, r.Height)}
	for _, p := range found {
		c := viewer.Class{Label: p.Label, Probability: p.Probability, Logit: p.Logit}
		if len(r.Outputs) > 1 {
			_, _, height, width := l.s.runner.Signature().Outputs[1].Type.Shape.NCHW()
			places := height * width
			values := append([]float32(nil), r.Outputs[1][p.Index*places:(p.Index+1)*places]...) // not the maps of all classes with it
			if c.Map, err = heat.NewMap(width, height, values); err != nil {
				return viewer.Result{Err: fmt.Errorf("class %s: %w", p.Label, err)}
			}
		}
		to.Classes = append(to.Classes, c)
	}
	return to
}

// readOnce makes standard input a picture that can be opened again.
func readOnce(list []pictures.Picture) []pictures.Picture {
	for i, p := range list {
		if p.Name != pictures.Stdin || p.Open == nil {
			continue
		}
		var mu sync.Mutex
		var data []byte
		open := p.Open
		list[i].Open = func(ctx context.Context) (io.ReadCloser, error) {
			mu.Lock()
			defer mu.Unlock()
			if data == nil {
				f, err := open(ctx)
				if err != nil {
					return nil, err
				}
				data, err = io.ReadAll(f)
				if err := errors.Join(err, f.Close()); err != nil {
					return nil, err
				}
			}
			return io.NopCloser(bytes.NewReader(data)), nil
		}
	}
	return list
}
