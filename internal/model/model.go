package model

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/graph/weights"
)

// ErrUnknown is wrapped when a reference is neither a bundled model nor an architecture nor a file.
var ErrUnknown = errors.New("unknown model")

// Options are the choices of [Load]; the zero value is right for bundled models and most weights files.
type Options struct {
	Weights   string               // for an architecture's name: a file, or "random:SEED"
	StateDict string               // which of several state dicts of a PyTorch file; see weights.Options
	Detect    resnet.DetectOptions // settles what a weights file leaves open
	Overrides Overrides
	// StructureOnly loads an architecture without weights; its graphs are not bound.
	StructureOnly bool
}

// Model is a network ready to be compiled for any batch size. It is read-only after [Load].
type Model struct {
	Name    string // as results name it: the bundled name, the file's path, or the architecture and its seed
	Config  resnet.Config
	Weights string // where the weights come from, for people; empty without weights
	Preset
	Side     int               // rows and columns of the input
	Metadata map[string]string // of a safetensors file, else nil

	tensors map[string]*graph.Tensor // by canonical name; nil without weights
}

// Load puts together the model that ref names; see the package documentation.
//
// Errors: wraps ErrUnknown when ref means nothing; a *resnet.DetectError for the weights of another network; those of
// package weights; and what is wrong with a preset, with the flag to pass.
func Load(ctx context.Context, ref string, opts Options) (*Model, error) {
	m, err := load(ctx, ref, opts)
	if err != nil {
		return nil, fmt.Errorf("load model %q: %w", ref, err)
	}
	return m, nil
}

func load(ctx context.Context, ref string, opts Options) (*Model, error) {
	if b, ok := bundledByName(ref); ok {
		if opts.Weights != "" {
			return nil, fmt.Errorf("it brings its weights: want no --weights, got %q", opts.Weights)
		}
		return loadBundled(b, opts)
	}
	if c, err := resnet.Lookup(ref); err == nil {
		return loadArchitecture(ctx, c, opts)
	}
	if opts.Weights != "" {
		return nil, fmt.Errorf("--weights goes with the name of an architecture, and this is none: want one of %s", strings.Join(resnet.Names(), ", "))
	}
	st, err := os.Stat(ref)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, unknown(ref)
	case err != nil:
		return nil, err
	case st.IsDir():
		return nil, errors.New("want a weights file, got a folder")
	}
	return loadFile(ref, opts)
}

// unknown makes the error for a name that means nothing, with the nearest names there are.
func unknown(ref string) error {
	var near []string
	for _, n := range append(BundledNames(), resnet.Names()...) {
		if strings.Contains(n, ref) || strings.Contains(ref, n) {
			near = append(near, n)
		}
	}
	if len(near) == 0 {
		near = BundledNames()
	}
	return fmt.Errorf("%w: no file of that name, no bundled model and no architecture; near it are %s ('resnet-run models' lists all)",
		ErrUnknown, strings.Join(near[:min(len(near), 6)], ", "))
}

func loadArchitecture(ctx context.Context, c resnet.Config, opts Options) (*Model, error) {
	seed, random := strings.CutPrefix(opts.Weights, "random:")
	switch {
	case opts.Weights == "" && opts.StructureOnly:
		m := &Model{Name: c.Name, Config: c}
		return m, m.finish(nil, opts)
	case opts.Weights == "":
		return nil, errors.New("an architecture has no weights of its own: pass --weights FILE, or --weights random:1 for a test")
	case random:
		m := &Model{Name: c.Name + " " + opts.Weights, Config: c, Weights: opts.Weights}
		if opts.StructureOnly {
			return m, m.finish(nil, opts)
		}
		var err error
		if m.tensors, err = randomWeights(ctx, c, seed); err != nil {
			return nil, err
		}
		return m, m.finish(nil, opts)
	}
	if opts.Detect.Shortcut == 0 {
		opts.Detect.Shortcut = c.Shortcut
	}
	opts.Detect.StrideOn1x1 = opts.Detect.StrideOn1x1 || c.StrideOn1x1
	m, err := loadFile(opts.Weights, opts)
	if err != nil {
		return nil, err
	}
	got := m.Config
	got.StrideOn1x1 = c.StrideOn1x1
	if got.CanonicalName() != c.Name {
		return nil, fmt.Errorf("the weights in %s are those of %s", opts.Weights, m.Config.CanonicalName())
	}
	return m, nil
}

func loadFile(path string, opts Options) (*Model, error) {
	f, err := weights.Options{StateDict: opts.StateDict}.Open(path)
	if err != nil {
		return nil, err
	}
	m := &Model{Name: filepath.ToSlash(path), Weights: path}
	sources, err := sidecars(path)
	if err == nil {
		err = m.read(f, sources, opts)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return m, nil // whose tensors lie in the file, which is released with the last of them
}

// read takes everything out of an open weights file but the weights, which are read when a graph is compiled.
func (m *Model) read(f *weights.File, sources []hints, opts Options) error {
	meta, err := parseMetadata(f.Metadata())
	if err != nil {
		return fmt.Errorf("%s: %w", m.Weights, err)
	}
	m.Metadata = f.Metadata()
	sources = append([]hints{meta}, sources...)
	detect := opts.Detect
	for _, s := range sources {
		if detect.Shortcut == 0 {
			detect.Shortcut = s.detect.Shortcut
		}
		detect.StrideOn1x1 = detect.StrideOn1x1 || s.detect.StrideOn1x1
	}
	shapes := f.Shapes()
	names, err := weights.Canonical(shapes)
	if err != nil {
		return fmt.Errorf("%s: %w", m.Weights, err)
	}
	canonical := make(map[string]graph.Shape, len(names.ToFile))
	for name, inFile := range names.ToFile {
		canonical[name] = shapes[inFile]
	}
	if m.Config, err = resnet.Detect(canonical, detect); err != nil {
		return fmt.Errorf("%s: %w", m.Weights, err)
	}
	m.tensors = make(map[string]*graph.Tensor, len(names.ToFile))
	for name, inFile := range names.ToFile {
		if m.tensors[name], err = f.Lazy(inFile); err != nil {
			return err
		}
	}
	return m.finish(sources, opts)
}

// finish chooses the preset and checks that the network takes the pictures that it makes.
func (m *Model) finish(sources []hints, opts Options) error {
	var err error
	if m.Preset, err = choosePreset(m.Config, sources, opts.Overrides); err != nil {
		return err
	}
	if m.Side, err = inputSide(m.Preprocess); err != nil {
		return err
	}
	if m.Config.InChannels != 3 && !opts.StructureOnly {
		return fmt.Errorf("the network takes pictures of %d channels: want 3 (red, green, blue)", m.Config.InChannels)
	}
	if _, err := m.Config.Build(1, m.Side, m.Side); err != nil {
		return err
	}
	return nil
}

// HasWeights reports whether the model's graphs are bound.
func (m *Model) HasWeights() bool { return m.tensors != nil }

// Graph returns the network for pictures of the preset's size: input "input" [batch,3,Side,Side], output the logits
// [batch,Classes]. It is bound when the model has weights.
func (m *Model) Graph(batch int) (*graph.Graph, error) { return m.GraphOf(batch, m.Side, m.Side) }

// GraphOf is [Model.Graph] for another extent of the input.
func (m *Model) GraphOf(batch, height, width int) (*graph.Graph, error) {
	g, err := m.Config.Build(batch, height, width)
	if err != nil || m.tensors == nil {
		return g, err
	}
	return g.Bind(m.tensors)
}
