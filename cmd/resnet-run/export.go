package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/spf13/cobra"
)

// dynamicBatch is the value of --batch that leaves the size of the batch open.
const dynamicBatch = "dynamic"

// exportFlags are those of the command export, but for the model's.
type exportFlags struct {
	out, batch      string
	fused, external bool
}

func (a *app) exportCommand() *cobra.Command {
	var e exportFlags
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write a network as an ONNX file",
		Long: `Write a network with its weights as an ONNX file, for other programs: whatever --model takes, with operators of opset 13. Results
are logits; pictures have the extent of the model's preset, or that of --crop.

The file has the network as it was loaded, batch norms and all, under the names of its layers and parameters. --fused writes what the
optimisation passes make of it, in which they are folded into convolutions. How pictures are prepared and what the classes are called stands in
its metadata, where this program finds it again.

Parameters of more than 2 GiB lie in a file of their own beside it, FILE.data, and so do all with --external-data. A file that is there is
replaced when the new one is complete.`,
		Example: `  resnet-run export --model resnet50-0676ba61.pth --out resnet50.onnx
  resnet-run export --model hf:timm/resnet50.a1_in1k --fused --batch 8 -o resnet50.b8.onnx
  resnet-run export --model resnet18 --weights random:1 --crop 128 -o resnet18.onnx`,
		Args: usageArgs(cobra.NoArgs),
	}
	f := cmd.Flags()
	f.StringVarP(&e.out, "out", "o", "", "`FILE` to write; it is needed")
	f.StringVarP(&e.batch, "batch", "b", dynamicBatch, "size of the batch, `N`, or dynamic to leave it open")
	f.BoolVar(&e.fused, "fused", false, "write the network after the optimisation passes")
	f.BoolVar(&e.external, "external-data", false, "write parameters to FILE.data, whatever their size")
	m := a.addModelFlags(f, true)
	cmd.RunE = runs(func(cmd *cobra.Command, _ []string) error { return a.export(cmd.Context(), &e, m) })
	return cmd
}

func (a *app) export(ctx context.Context, e *exportFlags, f *modelFlags) error {
	batch, opts, err := e.options()
	if err != nil {
		return failure(exitUsage, err)
	}
	m, err := a.loadModel(ctx, f)
	if err != nil {
		return err
	}
	if isSameFile(e.out, m.Weights) {
		return failure(exitUsage, fmt.Errorf("--out: want another file than the model's own, got %.200q", e.out))
	}
	g, err := m.Graph(batch)
	if err == nil && e.fused {
		g, err = pass.Run(g, pass.Default())
	}
	if err == nil {
		opts.Metadata, err = m.FileMetadata()
	}
	if err != nil {
		return failure(exitModel, err)
	}
	if err := e.write(ctx, g, opts); err != nil {
		return err
	}
	in, logits := g.Inputs[0], g.Outputs[0]
	a.detail("wrote %d layers: input %s %v, logits %s %v, batch %s", len(g.Nodes), in.Name, in.Type, logits.Name, logits.Type, e.batch)
	_, err = fmt.Fprintln(a.stdout, report.Printable(e.out))
	return err
}

// options reads the flags.
func (e *exportFlags) options() (batch int, opts onnx.ExportOptions, err error) {
	opts = onnx.ExportOptions{Version: buildVersion().Version, DynamicBatch: e.batch == dynamicBatch}
	if e.out == "" {
		return 0, opts, errors.New("--out: want the FILE to write, got none")
	}
	if opts.DynamicBatch {
		return 1, opts, nil
	}
	batch, err = strconv.Atoi(e.batch)
	if err != nil || batch < 1 {
		return 0, opts, fmt.Errorf("--batch: want a number of at least 1, or %s, got %.40q", dynamicBatch, e.batch)
	}
	return batch, opts, nil
}

// isSameFile reports whether both paths are of one file that is there.
func isSameFile(a, b string) bool {
	x, err := os.Stat(a)
	y, err2 := os.Stat(cmp.Or(b, "."))
	return err == nil && err2 == nil && os.SameFile(x, y)
}

// write writes the file, and the one with its parameters when there has to be one, which is in its place first.
func (e *exportFlags) write(ctx context.Context, g *graph.Graph, opts onnx.ExportOptions) error {
	if !e.external {
		err := writeWhole(e.out, func(w io.Writer) error { return onnx.Export(interruptible{ctx, w}, g, opts) })
		if large := (*onnx.TooLargeError)(nil); !errors.As(err, &large) {
			return err
		}
	}
	data := e.out + ".data"
	opts.ExternalName = filepath.Base(data)
	return writeWhole(e.out, func(w io.Writer) error {
		return writeWhole(data, func(d io.Writer) error {
			opts.External = interruptible{ctx, d}
			return onnx.Export(interruptible{ctx, w}, g, opts)
		})
	})
}

// interruptible is a writer that ends with a context.
type interruptible struct {
	ctx context.Context
	w   io.Writer
}

func (i interruptible) Write(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.w.Write(p)
}
