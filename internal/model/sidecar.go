package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/internal/imaging"
)

// parseConfig reads a config.json as timm or Hugging Face transformers write it. One that has none of their fields
// tells nothing.
func parseConfig(data []byte) (hints, error) {
	var j struct {
		PretrainedCfg *timmConfig       `json:"pretrained_cfg"`
		LabelNames    []string          `json:"label_names"`
		ID2Label      map[string]string `json:"id2label"`
		// InBottleneck is transformers' name for the stride on the first 1×1 convolution.
		InBottleneck bool   `json:"downsample_in_bottleneck"`
		Architecture string `json:"architecture"` // timm's name of the network
		bitConfig
	}
	if err := json.Unmarshal(data, &j); err != nil {
		return hints{}, err
	}
	if err := j.bitConfig.check(); err != nil {
		return hints{}, err
	}
	h := hints{detect: resnet.DetectOptions{StrideOn1x1: j.InBottleneck}}
	name, _, _ := strings.Cut(j.Architecture, ".") // behind it timm says how it was trained
	if c, err := resnet.Lookup(name); err == nil {
		h.detect.Member = c.Name
	}
	if j.PretrainedCfg != nil {
		p, err := j.PretrainedCfg.preprocess()
		if err != nil {
			return hints{}, fmt.Errorf("pretrained_cfg: %w", err)
		}
		h.preprocess = &p
	}
	var err error
	switch {
	case j.LabelNames != nil:
		h.labels, err = j.LabelNames, checkLabels(j.LabelNames)
	case j.ID2Label != nil:
		h.labels, err = labelsByID(j.ID2Label)
	}
	if err != nil {
		return hints{}, err
	}
	return h, nil
}

// bitConfig are the fields of transformers' BitConfig that say what tensors do not show.
type bitConfig struct {
	ModelType      string  `json:"model_type"`
	GlobalPadding  *string `json:"global_padding"`
	DynamicPadding bool    `json:"embedding_dynamic_padding"`
	NumGroups      *int    `json:"num_groups"`
	Activation     *string `json:"hidden_act"`
}

// check refuses what is not as in the networks that were published with it.
func (b bitConfig) check() error {
	const groups, relu = 32, "relu"
	switch {
	case b.ModelType != "bit":
		return nil
	case b.GlobalPadding != nil:
		return fmt.Errorf("global_padding: want none, as in google/bit-50, got %.40q", *b.GlobalPadding)
	case b.DynamicPadding:
		return errors.New("embedding_dynamic_padding: want false, as in google/bit-50, got true")
	case b.NumGroups != nil && *b.NumGroups != groups:
		return fmt.Errorf("num_groups: want %d, as in google/bit-50, got %d", groups, *b.NumGroups)
	case b.Activation != nil && *b.Activation != relu:
		return fmt.Errorf("hidden_act: want %s, as in google/bit-50, got %.40q", relu, *b.Activation)
	}
	return nil
}

// labelsByID puts {"0": "tench", "1": "goldfish", ...} in order.
func labelsByID(byID map[string]string) ([]string, error) {
	if len(byID) > maxLabels {
		return nil, fmt.Errorf("id2label: want at most %d labels, got %d", maxLabels, len(byID))
	}
	labels := make([]string, len(byID))
	for id, name := range byID {
		i, err := strconv.Atoi(id)
		if err != nil || i < 0 || i >= len(labels) || strconv.Itoa(i) != id {
			return nil, fmt.Errorf("id2label: want the ids 0 to %d, got %.40q", len(labels)-1, id)
		}
		labels[i] = name
	}
	if err := checkLabels(labels); err != nil {
		return nil, fmt.Errorf("id2label: %w", err)
	}
	return labels, nil
}

// timmConfig is the part of timm's pretrained_cfg that tells the transform.
type timmConfig struct {
	InputSize     []int     `json:"input_size"`
	CropPct       *float64  `json:"crop_pct"`
	CropMode      string    `json:"crop_mode"`
	Interpolation string    `json:"interpolation"`
	Mean          []float64 `json:"mean"`
	Std           []float64 `json:"std"`
}

// preprocess follows timm's evaluation transform: resize to floor(size / crop_pct), then a centre crop of size. Fields
// that are left out have timm's defaults: crop_pct 0.875, bicubic, ImageNet mean and std.
// Source: timm, data/config.py (resolve_data_config) and data/transforms_factory.py (transforms_imagenet_eval).
func (t *timmConfig) preprocess() (imaging.Preprocess, error) {
	var p imaging.Preprocess
	if len(t.InputSize) != 3 || t.InputSize[1] != t.InputSize[2] {
		return p, fmt.Errorf("input_size: want [channels, side, side], got %v", t.InputSize)
	}
	p.Crop = t.InputSize[1]
	if p.Crop < 1 {
		return p, fmt.Errorf("input_size: want a side of at least 1, got %d", p.Crop)
	}
	cropPct := 0.875
	if t.CropPct != nil {
		cropPct = *t.CropPct
	}
	var err error
	if p.Resize, err = divideSide(p.Crop, cropPct); err != nil {
		return p, err
	}
	switch t.CropMode {
	case "", "center":
	case "squash":
		p.ResizeMode = imaging.ResizeExact
	default:
		return p, fmt.Errorf("crop_mode: want center or squash, got %.40q", t.CropMode)
	}
	name := t.Interpolation
	if name == "" {
		name = "bicubic"
	}
	if p.Interpolation, err = imaging.ParseInterpolation(name); err != nil {
		return p, fmt.Errorf("interpolation: %w", err)
	}
	return withStatistics(p, valuesOr(t.Mean, imageNetMean), valuesOr(t.Std, imageNetStd))
}

// valuesOr returns v, or def when v was left out.
func valuesOr(v []float64, def [3]float32) []float64 {
	if v != nil {
		return v
	}
	return []float64{float64(def[0]), float64(def[1]), float64(def[2])}
}

// divideSide returns side / cropPct rounded down.
func divideSide(side int, cropPct float64) (int, error) {
	if !(cropPct > 0) || cropPct > 16 {
		return 0, fmt.Errorf("crop_pct: want a number above 0, got %v", cropPct)
	}
	return int(math.Min(math.Floor(float64(side)/cropPct), math.MaxInt32)), nil
}

// hfProcessor is the part of transformers' preprocessor_config.json that tells the transform.
type hfProcessor struct {
	Type          string    `json:"image_processor_type"`
	OldType       string    `json:"feature_extractor_type"`
	DoResize      *bool     `json:"do_resize"`
	Size          *hfSize   `json:"size"`
	CropPct       *float64  `json:"crop_pct"`
	Resample      *int      `json:"resample"`
	DoCenterCrop  *bool     `json:"do_center_crop"`
	CropSize      *hfSize   `json:"crop_size"`
	DoRescale     *bool     `json:"do_rescale"`
	RescaleFactor *float64  `json:"rescale_factor"`
	DoNormalize   *bool     `json:"do_normalize"`
	Mean          []float64 `json:"image_mean"`
	Std           []float64 `json:"image_std"`
}

// hfSize is a size in one of the forms that were in use: 224, {"shortest_edge": 224}, {"height": 224, "width": 224}.
type hfSize struct{ shortest, height, width int }

func (s *hfSize) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, &s.shortest); err == nil {
		return nil
	}
	var j struct {
		Shortest int `json:"shortest_edge"`
		Height   int `json:"height"`
		Width    int `json:"width"`
	}
	if err := json.Unmarshal(data, &j); err != nil {
		return fmt.Errorf("size: want a number, {shortest_edge} or {height, width}: %w", err)
	}
	*s = hfSize{j.Shortest, j.Height, j.Width}
	return nil
}

// square returns the side of a size that means a square.
func (s *hfSize) square() (int, error) {
	switch {
	case s == nil:
		return 0, errors.New("size: want a size, got none")
	case s.shortest > 0:
		return s.shortest, nil
	case s.height > 0 && s.height == s.width:
		return s.height, nil
	}
	return 0, fmt.Errorf("size: want a square, got height %d, width %d", s.height, s.width)
}

// pillowFilters are Pillow's numbers of resampling filters.
var pillowFilters = map[int]imaging.Interpolation{
	0: imaging.Nearest, 1: imaging.Lanczos, 2: imaging.Bilinear, 3: imaging.Bicubic, 4: imaging.Box,
}

// parsePreprocessorConfig reads a preprocessor_config.json. One that has neither a size nor a mean tells nothing.
func parsePreprocessorConfig(data []byte) (hints, error) {
	var j hfProcessor
	if err := json.Unmarshal(data, &j); err != nil {
		return hints{}, err
	}
	if j.Size == nil && j.Mean == nil {
		return hints{}, nil
	}
	p, err := j.preprocess()
	if err != nil {
		return hints{}, err
	}
	return hints{preprocess: &p}, nil
}

func (j *hfProcessor) preprocess() (imaging.Preprocess, error) {
	var p imaging.Preprocess
	if !isOr(j.DoRescale, true) {
		return p, errors.New("do_rescale: want true, got false")
	}
	if f := j.RescaleFactor; f != nil && math.Abs(*f*255-1) > 1e-6 {
		return p, fmt.Errorf("rescale_factor: want 1/255, got %g", *f)
	}
	p.Interpolation = imaging.Bicubic // transformers' default of the processors that ResNets come with
	if j.Resample != nil {
		var ok bool
		if p.Interpolation, ok = pillowFilters[*j.Resample]; !ok {
			return p, fmt.Errorf("resample: want 0 to 4 (nearest, lanczos, bilinear, bicubic, box), got %d", *j.Resample)
		}
	}
	if err := j.sizes(&p); err != nil {
		return p, err
	}
	half := [3]float32{0.5, 0.5, 0.5} // what transformers calls IMAGENET_STANDARD_MEAN and _STD
	mean, std := valuesOr(j.Mean, half), valuesOr(j.Std, half)
	if !isOr(j.DoNormalize, true) {
		mean, std = make([]float64, 3), []float64{1, 1, 1}
	}
	return withStatistics(p, mean, std)
}

// sizes sets resize and crop. The processor of ConvNeXt, with which transformers' ResNets come, crops below 384 pixels
// (resizing to size / crop_pct first) and squashes from there on.
// Source: transformers, models/convnext/image_processing_convnext.py.
func (j *hfProcessor) sizes(p *imaging.Preprocess) error {
	side, err := j.Size.square()
	if err != nil {
		return err
	}
	resizes := isOr(j.DoResize, true)
	if strings.HasPrefix(j.Type, "ConvNext") || j.Type == "" && strings.HasPrefix(j.OldType, "ConvNext") {
		if !resizes {
			return errors.New("do_resize: want true, got false")
		}
		if side >= 384 {
			p.Resize, p.ResizeMode = side, imaging.ResizeExact
			return nil
		}
		cropPct := 224.0 / 256
		if j.CropPct != nil {
			cropPct = *j.CropPct
		}
		p.Crop = side
		p.Resize, err = divideSide(side, cropPct)
		return err
	}
	if resizes {
		p.Resize = side
		if j.Size.shortest == 0 {
			p.ResizeMode = imaging.ResizeExact
		}
	}
	if isOr(j.DoCenterCrop, j.CropSize != nil) {
		p.Crop = side
		if j.CropSize != nil {
			p.Crop, err = j.CropSize.square()
		}
	}
	return err
}

func isOr(b *bool, def bool) bool {
	if b == nil {
		return def
	}
	return *b
}
