package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/internal/imaging"
)

// Preset is what a network wants to be fed with and what its outputs mean.
type Preset struct {
	Preprocess     imaging.Preprocess
	PreprocessFrom string // what decided it, for people
	Labels         []string
	LabelsFrom     string
}

// Overrides are settings that go before those of the preset; nil leaves the preset's.
type Overrides struct {
	Resize, Crop  *int
	Mean, Std     *[3]float32
	Interpolation *imaging.Interpolation
	LabelsFile    string // one label a line; "" = none
}

// hints is what one source (the metadata of a weights file, a JSON file beside it) tells; nil where it tells nothing.
type hints struct {
	from       string
	preprocess *imaging.Preprocess
	labels     []string
	labelsErr  error // what is wrong with labels that are not wanted where something of higher rank has them
	detect     resnet.DetectOptions
}

// tells reports whether there is anything.
func (h hints) tells() bool {
	return h.preprocess != nil || h.labels != nil || h.labelsErr != nil || h.detect != resnet.DetectOptions{}
}

// maxSidecar bounds the JSON files that lie beside weights.
const maxSidecar = 16 << 20

// sidecars reads preprocessor_config.json and config.json beside a weights file, in the order of their rank. Files that
// are not there, or that hold something else, tell nothing; broken ones are an error. Hugging Face's repositories have ONNX
// files in a folder "onnx" of their own, and these files above it.
func sidecars(weightsPath string, isONNX bool) ([]hints, error) {
	dirs := []string{filepath.Dir(weightsPath)}
	abs, err := filepath.Abs(weightsPath)
	if err != nil {
		return nil, err
	}
	if isONNX && filepath.Base(filepath.Dir(abs)) == "onnx" {
		dirs = append(dirs, filepath.Join(dirs[0], ".."))
	}
	var found []hints
	for _, f := range []struct {
		name  string
		parse func([]byte) (hints, error)
	}{
		{"preprocessor_config.json", parsePreprocessorConfig},
		{"config.json", parseConfig},
	} {
		for _, dir := range dirs {
			h, err := sidecar(filepath.Join(dir, f.name), f.parse)
			if err != nil {
				return nil, err
			}
			if h.tells() {
				found = append(found, h)
				break
			}
		}
	}
	for _, h := range []hints{published(weightsPath), called(weightsPath)} {
		if h.tells() {
			found = append(found, h)
		}
	}
	return found, nil
}

// called is what the name of a file tells that begins with the name of a member, of those networks whose tensors are the same as another's.
func called(path string) hints {
	file := filepath.Base(path)
	longest := ""
	for _, name := range resnet.Names() {
		rest, ok := strings.CutPrefix(file, name)
		if ok && len(name) > len(longest) && strings.IndexAny(rest+".", "-_.") == 0 {
			longest = name
		}
	}
	c, err := resnet.Lookup(longest)
	if err != nil || c.AntiAlias == resnet.NoAntiAlias && (c.NormGroups == 0 || c.PreActivation) {
		return hints{}
	}
	return hints{from: "the file's name", detect: resnet.DetectOptions{Member: c.Name}}
}

// torchvisionV2 are the beginnings of the SHA-256 of torchvision's weights of the newer recipe, which stand in the names of their files: nothing in them
// tells. Source: torchvision 0.24.1, the weights whose transform resizes to 232.
var torchvisionV2 = []string{
	"resnet50-11ad3fa6", "resnet101-cd907fc2", "resnet152-f82ba261", "resnext50_32x4d-1a0047aa", "resnext101_32x8d-110c445d", "resnext101_64x4d-173b62eb",
	"wide_resnet50_2-9ba9bcbe", "wide_resnet101_2-d733dc28",
}

// published is what the name of a file of published weights tells.
func published(path string) hints {
	name := strings.TrimSuffix(filepath.Base(path), ".pth")
	if !slices.Contains(torchvisionV2, name) {
		return hints{}
	}
	p := imaging.Preprocess{Resize: 232, Crop: 224, Mean: imageNetMean, Std: imageNetStd, Interpolation: imaging.Bilinear}
	return hints{from: "the file's name (torchvision's V2 preset)", preprocess: &p}
}

// sidecar reads one file; without it there are no hints.
func sidecar(path string, parse func([]byte) (hints, error)) (hints, error) {
	data, err := readLimited(path, maxSidecar)
	if errors.Is(err, os.ErrNotExist) {
		return hints{}, nil
	}
	var h hints
	if err == nil {
		h, err = parse(data)
	}
	if err != nil {
		return hints{}, fmt.Errorf("read %s, which lies beside the weights: %w; mend it or move it away", path, err)
	}
	h.from = path
	return h, nil
}

// readLimited reads a file of at most so many bytes.
func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("want at most %d bytes, got more", limit)
	}
	return data, err
}

// parseMetadata reads the hints in the header of a safetensors file: "architecture" is the name of a member, "labels" a
// JSON list of names, "preprocess" a JSON object {"resize","resize_mode","crop","mean","std","interpolation"}. Other keys tell nothing.
func parseMetadata(meta map[string]string) (hints, error) {
	h := hints{from: "metadata of the weights file"}
	if c, err := resnet.Lookup(meta["architecture"]); err == nil {
		h.detect = resnet.DetectOptions{Shortcut: c.Shortcut, StrideOn1x1: c.StrideOn1x1, Member: c.Name}
	}
	if text, ok := meta["labels"]; ok {
		err := json.Unmarshal([]byte(text), &h.labels)
		if err != nil {
			err = fmt.Errorf("want a JSON list of names, got %.40q: %w", text, err)
		} else {
			err = checkLabels(h.labels)
		}
		if err != nil {
			h.labels, h.labelsErr = nil, fmt.Errorf("%q: %w", "labels", err)
		}
	}
	if text, ok := meta["preprocess"]; ok {
		p, err := parsePreprocess([]byte(text))
		if err != nil {
			return hints{}, fmt.Errorf("read metadata %q: %w", "preprocess", err)
		}
		h.preprocess = &p
	}
	return h, nil
}

// parsePreprocess reads our own form of a transform.
func parsePreprocess(data []byte) (imaging.Preprocess, error) {
	var j preprocessMetadata
	if err := json.Unmarshal(data, &j); err != nil {
		return imaging.Preprocess{}, err
	}
	p := imaging.Preprocess{Resize: j.Resize, Crop: j.Crop}
	var err error
	if p.Interpolation, err = imaging.ParseInterpolation(j.Interpolation); err != nil {
		return imaging.Preprocess{}, err
	}
	switch j.ResizeMode {
	case "", resizeShorter:
	case resizeExact:
		p.ResizeMode = imaging.ResizeExact
	default:
		return imaging.Preprocess{}, fmt.Errorf("resize_mode: want shorter or exact, got %.40q", j.ResizeMode)
	}
	return withStatistics(p, j.Mean, j.Std)
}

// withStatistics sets mean and standard deviation and checks the whole.
func withStatistics(p imaging.Preprocess, mean, std []float64) (imaging.Preprocess, error) {
	for _, f := range []struct {
		name string
		from []float64
		to   *[3]float32
	}{{"mean", mean, &p.Mean}, {"std", std, &p.Std}} {
		if len(f.from) != 3 {
			return imaging.Preprocess{}, fmt.Errorf("%s: want 3 numbers (red, green, blue), got %d", f.name, len(f.from))
		}
		for i, v := range f.from {
			f.to[i] = float32(v)
		}
	}
	return p, p.Validate()
}

// ImageNet mean and standard deviation of red, green and blue, as torchvision has them.
var (
	imageNetMean = [3]float32{0.485, 0.456, 0.406}
	imageNetStd  = [3]float32{0.229, 0.224, 0.225}
)

// architecturePreset is the preset of a network that comes without one.
func architecturePreset(t traits) Preset {
	p := Preset{
		Preprocess: imaging.Preprocess{Mean: imageNetMean, Std: imageNetStd, Interpolation: imaging.Bilinear},
		Labels:     numberedLabels(t.classes),
		LabelsFrom: "none known: the classes are numbered",
	}
	if t.small {
		p.Preprocess.Resize, p.Preprocess.Crop = t.size, t.size
		p.PreprocessFrom = "architecture (CIFAR stem: the input size, ImageNet mean and std)"
	} else {
		p.Preprocess.Crop = t.size
		p.Preprocess.Resize = t.size * 256 / 224
		p.PreprocessFrom = "architecture (ImageNet stem: torchvision's V1 preset)"
	}
	if t.centred {
		half := [3]float32{0.5, 0.5, 0.5}
		p.Preprocess.Mean, p.Preprocess.Std = half, half
		p.PreprocessFrom = "architecture (pre-activation: mean and std 0.5, as timm has them)"
	}
	switch {
	case t.classes == 1000:
		p.Labels, p.LabelsFrom = ImageNetLabels(), "architecture (1000 classes: ImageNet-1k)"
	case t.classes == 10 && t.small:
		p.Labels, p.LabelsFrom = CIFAR10Labels(), "architecture (CIFAR stem, 10 classes: CIFAR-10)"
	}
	return p
}

// choosePreset applies the rule of the package documentation: overrides, then the sources in order, then the architecture.
func choosePreset(t traits, sources []hints, o Overrides) (Preset, error) {
	p := architecturePreset(t)
	for _, s := range sources {
		if s.preprocess != nil {
			p.Preprocess, p.PreprocessFrom = *s.preprocess, s.from
			break
		}
	}
	if err := p.chooseLabels(t.classes, sources, o.LabelsFile); err != nil {
		return Preset{}, err
	}
	if o.apply(&p.Preprocess) {
		p.PreprocessFrom += ", changed by flags"
	}
	if err := p.Preprocess.Validate(); err != nil {
		return Preset{}, err
	}
	return p, nil
}

// chooseLabels takes the labels of a file, or those of the first source that has some. What others have may be wrong.
func (p *Preset) chooseLabels(classes int, sources []hints, file string) error {
	if file != "" {
		labels, err := readLabels(file)
		if err == nil {
			if err = wantLabels(labels, classes); err != nil {
				err = fmt.Errorf("read labels %s: %w", file, err)
			}
		}
		p.Labels, p.LabelsFrom = labels, file
		return err
	}
	for _, s := range sources {
		if s.labels == nil && s.labelsErr == nil {
			continue
		}
		err := s.labelsErr
		if err == nil {
			err = wantLabels(s.labels, classes)
		}
		if err != nil {
			return fmt.Errorf("%s: %w; pass the right names with --labels", s.from, err)
		}
		p.Labels, p.LabelsFrom = s.labels, s.from
		return nil
	}
	return nil
}

// apply changes p and reports whether there was anything to change.
func (o Overrides) apply(p *imaging.Preprocess) bool {
	before := *p
	if o.Resize != nil {
		p.Resize = *o.Resize
	}
	if o.Crop != nil {
		if o.Resize == nil && p.Resize > 0 && *o.Crop > p.Resize { // a larger network, not a frame of black about the picture
			if p.Resize = *o.Crop; p.Crop > 0 {
				p.Resize = max(*o.Crop, before.Resize**o.Crop/p.Crop)
			}
		}
		p.Crop = *o.Crop
	}
	if o.Mean != nil {
		p.Mean = *o.Mean
	}
	if o.Std != nil {
		p.Std = *o.Std
	}
	if o.Interpolation != nil {
		p.Interpolation = *o.Interpolation
	}
	return before != *p
}

// inputSide returns the rows and columns of the pictures that p makes, which must be the same for every picture.
func inputSide(p imaging.Preprocess) (int, error) {
	if p.Crop > 0 {
		return p.Crop, nil
	}
	if p.Resize > 0 && p.ResizeMode == imaging.ResizeExact {
		return p.Resize, nil
	}
	return 0, errors.New("preprocess: pictures would come in many sizes: want a crop above 0, pass --crop")
}
