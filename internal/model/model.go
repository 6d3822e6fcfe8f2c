package model

import (
	"cmp"
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

	named bool // an architecture was, so that hints do not say where its strides are
}

// Model is a network ready to be compiled for any batch size. It is read-only after [Load].
type Model struct {
	Name    string // as results name it: the bundled name, the file's path, or the architecture and its seed
	Weights string // where the weights come from, for people; empty without weights
	Preset
	Classes    int
	InChannels int
	Side       int               // rows and columns of the input
	Metadata   map[string]string // of a safetensors or ONNX file, else nil

	network
}

// network is what makes the graphs of a model.
type network interface {
	// build makes the graph for a batch of pictures of that extent: one input, and the logits as its one output. It is
	// bound when there are weights.
	build(batch, height, width int) (*graph.Graph, error)
	// bound reports whether there are weights.
	bound() bool
	// traits are what presets go by.
	traits() traits
	// architecture names it, for people.
	architecture() string
}

// traits are what can be known of a network before its preset is chosen.
type traits struct {
	classes, inChannels int
	size                int  // rows and columns of the pictures it is made for
	small               bool // it begins with a convolution that keeps their extent, as networks for small pictures do
	centred             bool // pictures are made to lie between -1 and 1, as networks with pre-activation want them
}

// state is a network of the family with the tensors of a state dict.
type state struct {
	config  resnet.Config
	tensors map[string]*graph.Tensor // the parameters by name; nil without weights
}

func (s *state) build(batch, height, width int) (*graph.Graph, error) {
	g, err := s.config.Build(batch, height, width)
	if err != nil || s.tensors == nil {
		return g, err
	}
	return g.Bind(s.tensors)
}

func (s *state) bound() bool          { return s.tensors != nil }
func (s *state) architecture() string { return s.config.CanonicalName() }

func (s *state) traits() traits { return familyTraits(s.config) }

func familyTraits(c resnet.Config) traits {
	return traits{c.Classes, c.InChannels, c.InputSize, c.Stem == resnet.CIFARStem, c.PreActivation}
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
		if err := opts.fileOnly(); err != nil {
			return nil, err
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
	if opts.Weights == "" || random {
		if err := opts.fileOnly(); err != nil {
			return nil, err
		}
	}
	switch {
	case opts.Weights == "" && opts.StructureOnly:
		m := &Model{Name: c.Name, network: &state{config: c}}
		return m, m.finish(nil, opts)
	case opts.Weights == "":
		return nil, errors.New("an architecture has no weights of its own: pass --weights FILE, or --weights random:1 for a test")
	case random:
		st := &state{config: c}
		m := &Model{Name: c.Name + " " + opts.Weights, Weights: opts.Weights, network: st}
		n, err := parseSeed(seed)
		if err == nil && !opts.StructureOnly {
			st.tensors, err = randomWeights(ctx, c, n)
		}
		if err != nil {
			return nil, err
		}
		return m, m.finish(nil, opts)
	}
	opts.Detect.StrideOn1x1 = opts.Detect.StrideOn1x1 || c.StrideOn1x1
	opts.Detect.Member = c.Name
	opts.named = true
	m, err := loadFile(opts.Weights, opts)
	if err != nil {
		return nil, err
	}
	got, ok := m.Config()
	if got.StrideOn1x1 = c.StrideOn1x1; !ok || got.CanonicalName() != c.Name {
		return nil, fmt.Errorf("the weights in %s are those of %s", opts.Weights, m.Architecture())
	}
	return m, nil
}

// fileOnly refuses the options that say how a file of weights is to be read, where there is none.
func (o Options) fileOnly() error {
	if o.StateDict != "" {
		return fmt.Errorf("--state-dict chooses in a PyTorch file, and there is none here: got %.80q", o.StateDict)
	}
	if o.Detect != (resnet.DetectOptions{}) {
		return fmt.Errorf("--shortcut and --stride-on-1x1 say what a file of weights leaves open, and there is none here: got %s", detectFlags(o.Detect))
	}
	return nil
}

// detectFlags are the flags that set the options.
func detectFlags(d resnet.DetectOptions) string {
	var flags []string
	if d.Shortcut != 0 {
		flags = append(flags, "--shortcut "+d.Shortcut.String())
	}
	if d.StrideOn1x1 {
		flags = append(flags, "--stride-on-1x1")
	}
	return strings.Join(flags, " ")
}

func loadFile(path string, opts Options) (*Model, error) {
	f, err := weights.Options{StateDict: opts.StateDict}.Open(path)
	if err != nil {
		return nil, err
	}
	m := &Model{Name: filepath.ToSlash(path), Weights: path}
	sources, err := sidecars(path, f.Format() == weights.FormatONNX)
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
	if f.Format() == weights.FormatONNX {
		m.network, err = newExported(f, opts, hintedSide(sources))
	} else {
		m.network, err = m.detect(f, sources, opts)
	}
	if err != nil {
		return err
	}
	return m.finish(sources, opts)
}

// hintedSide is the side of the pictures that the first source with a transform makes; 0 when there is none.
func hintedSide(sources []hints) int {
	for _, s := range sources {
		if s.preprocess != nil {
			side, err := inputSide(*s.preprocess)
			if err != nil {
				return 0 // finish says so
			}
			return side
		}
	}
	return 0
}

// detect finds out which network of the family the tensors of a state dict are of.
func (m *Model) detect(f *weights.File, sources []hints, opts Options) (*state, error) {
	detect := opts.Detect
	for _, s := range sources {
		if detect.Shortcut == 0 {
			detect.Shortcut = s.detect.Shortcut
		}
		detect.StrideOn1x1 = detect.StrideOn1x1 || s.detect.StrideOn1x1 && !opts.named
		detect.Member = cmp.Or(detect.Member, s.detect.Member)
	}
	names, err := weights.Canonical(f.Shapes())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Weights, err)
	}
	s := &state{tensors: make(map[string]*graph.Tensor, len(names.ToFile))}
	if s.config, err = resnet.Detect(names.Shapes, detect); err != nil {
		return nil, fmt.Errorf("%s: %w", m.Weights, err)
	}
	for name, inFile := range names.ToFile {
		t, err := f.Lazy(inFile)
		if err == nil {
			t, err = t.WithShape(names.Shapes[name])
		}
		if err == nil {
			s.tensors[name], err = s.config.Parameter(name, t)
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// finish chooses the preset and checks that the network takes the pictures that it makes.
func (m *Model) finish(sources []hints, opts Options) error {
	t := m.traits()
	m.Classes, m.InChannels = t.classes, t.inChannels
	var err error
	if m.Preset, err = choosePreset(t, sources, opts.Overrides); err != nil {
		return err
	}
	if m.Side, err = inputSide(m.Preprocess); err != nil {
		return err
	}
	if m.InChannels != 3 && !opts.StructureOnly {
		return fmt.Errorf("the network takes pictures of %d channels: want 3 (red, green, blue)", m.InChannels)
	}
	_, err = m.build(1, m.Side, m.Side)
	return err
}

// HasWeights reports whether the model's graphs are bound.
func (m *Model) HasWeights() bool { return m.bound() }

// Architecture names the network: a member of the family such as "resnet50", or what a file that holds a network of its own
// says of it.
func (m *Model) Architecture() string { return m.architecture() }

// Config returns what the network is built from; ok is false for one that a file holds ready-made.
func (m *Model) Config() (c resnet.Config, ok bool) {
	s, ok := m.network.(*state)
	if !ok {
		return c, false
	}
	return s.config, true
}

// Graph returns the network for pictures of the preset's size: one input [batch,InChannels,Side,Side], and the logits
// [batch,Classes] as its one output. It is bound when the model has weights.
func (m *Model) Graph(batch int) (*graph.Graph, error) { return m.GraphOf(batch, m.Side, m.Side) }

// GraphOf is [Model.Graph] for another extent of the input.
func (m *Model) GraphOf(batch, height, width int) (*graph.Graph, error) {
	return m.build(batch, height, width)
}
