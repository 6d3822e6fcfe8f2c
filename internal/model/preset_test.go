package model

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/internal/imaging"
	"github.com/resnet-run/resnet-run/internal/model/modeltest"
)

func config(t *testing.T, name string) resnet.Config {
	t.Helper()
	c, err := resnet.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestArchitecturePresets(t *testing.T) {
	fewer := config(t, "resnet18")
	fewer.Classes = 7
	for _, test := range []struct {
		c            resnet.Config
		resize, crop int
		first, last  string
	}{
		{config(t, "resnet50"), 256, 224, "tench", "toilet tissue"},
		{config(t, "resnet20-cifar"), 32, 32, "airplane", "truck"},
		{fewer, 256, 224, "class 0", "class 6"},
	} {
		p, err := choosePreset(familyTraits(test.c), nil, Overrides{})
		if err != nil {
			t.Fatal(err)
		}
		want := imaging.Preprocess{Resize: test.resize, Crop: test.crop, Mean: [3]float32{.485, .456, .406}, Std: [3]float32{.229, .224, .225}, Interpolation: imaging.Bilinear}
		if p.Preprocess != want {
			t.Errorf("%s: got transform %+v, want %+v", test.c.Name, p.Preprocess, want)
		}
		if p.Labels[0] != test.first || p.Labels[len(p.Labels)-1] != test.last || len(p.Labels) != test.c.Classes {
			t.Errorf("%s: got %d labels from %q to %q, want %d from %q to %q", test.c.Name, len(p.Labels), p.Labels[0], p.Labels[len(p.Labels)-1], test.c.Classes, test.first, test.last)
		}
	}
}

// The configurations are those published with the models, cut down to the fields that matter.
func TestSidecarTransforms(t *testing.T) {
	imageNet := func(resize, crop int, in imaging.Interpolation) imaging.Preprocess {
		return imaging.Preprocess{Resize: resize, Crop: crop, Mean: imageNetMean, Std: imageNetStd, Interpolation: in}
	}
	squash := func(p imaging.Preprocess) imaging.Preprocess { p.ResizeMode = imaging.ResizeExact; return p }
	half := imaging.Preprocess{Resize: 224, Crop: 200, Mean: [3]float32{.5, .5, .5}, Std: [3]float32{.5, .5, .5}, Interpolation: imaging.Bicubic}
	raw := imaging.Preprocess{Resize: 224, ResizeMode: imaging.ResizeExact, Std: [3]float32{1, 1, 1}, Interpolation: imaging.Bilinear}
	const meanStd = `"mean":[0.485,0.456,0.406],"std":[0.229,0.224,0.225]`
	const imageMeanStd = `"image_mean":[0.485,0.456,0.406],"image_std":[0.229,0.224,0.225]`
	for _, test := range []struct {
		name, file, text string
		want             imaging.Preprocess
	}{
		{"timm/resnet50.a1_in1k", "config.json", `{"architecture":"resnet50","pretrained_cfg":{"input_size":[3,224,224],"test_input_size":[3,288,288],"crop_pct":0.95,"test_crop_pct":1.0,"crop_mode":"center","interpolation":"bicubic",` + meanStd + `}}`, imageNet(235, 224, imaging.Bicubic)},
		{"timm/resnet18.tv_in1k", "config.json", `{"pretrained_cfg":{"input_size":[3,224,224],"crop_pct":0.875,"interpolation":"bilinear",` + meanStd + `}}`, imageNet(256, 224, imaging.Bilinear)},
		{"timm defaults", "config.json", `{"pretrained_cfg":{"input_size":[3,160,160]}}`, imageNet(182, 160, imaging.Bicubic)},
		{"timm squash", "config.json", `{"pretrained_cfg":{"input_size":[3,288,288],"crop_pct":1.0,"crop_mode":"squash","interpolation":"bicubic"}}`, squash(imageNet(288, 288, imaging.Bicubic))},
		{"timm/resnetv2_50x1_bit.goog_in21k_ft_in1k", "config.json", `{"architecture":"resnetv2_50x1_bit","pretrained_cfg":{"input_size":[3,448,448],"crop_pct":1.0,"crop_mode":"center","interpolation":"bilinear","mean":[0.5,0.5,0.5],"std":[0.5,0.5,0.5]}}`,
			imaging.Preprocess{Resize: 448, Crop: 448, Mean: half.Mean, Std: half.Std, Interpolation: imaging.Bilinear}},
		{"BiT as transformers' conversion writes it", "preprocessor_config.json", `{"crop_size":{"height":448,"width":448},"do_center_crop":true,"do_resize":true,"image_mean":[0.5,0.5,0.5],"image_processor_type":"BitImageProcessor","image_std":[0.5,0.5,0.5],"resample":2,"rescale_factor":0.00392156862745098,"size":{"shortest_edge":448}}`,
			imaging.Preprocess{Resize: 448, Crop: 448, Mean: half.Mean, Std: half.Std, Interpolation: imaging.Bilinear}},
		{"microsoft/resnet-50", "preprocessor_config.json", `{"crop_pct":0.875,"do_normalize":true,"do_resize":true,"feature_extractor_type":"ConvNextFeatureExtractor",` + imageMeanStd + `,"resample":3,"size":224}`, imageNet(256, 224, imaging.Bicubic)},
		{"ConvNeXt processor at 384", "preprocessor_config.json", `{"image_processor_type":"ConvNextImageProcessor",` + imageMeanStd + `,"resample":2,"size":{"shortest_edge":384}}`, squash(imageNet(384, 0, imaging.Bilinear))},
		{"other processor with a crop", "preprocessor_config.json", `{"image_processor_type":"CLIPImageProcessor","size":{"shortest_edge":224},"crop_size":{"height":200,"width":200}}`, half},
		{"other processor, nothing but a squash", "preprocessor_config.json", `{"image_processor_type":"ViTImageProcessor","size":{"height":224,"width":224},"do_normalize":false,"resample":2}`, raw},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, test.file), []byte(test.text), 0o644); err != nil {
				t.Fatal(err)
			}
			sources, err := sidecars(filepath.Join(dir, "model.safetensors"), false)
			if err != nil {
				t.Fatal(err)
			}
			p, err := choosePreset(familyTraits(config(t, "resnet50")), sources, Overrides{})
			if err != nil {
				t.Fatal(err)
			}
			if p.Preprocess != test.want {
				t.Errorf("got  %+v\nwant %+v", p.Preprocess, test.want)
			}
			if !strings.HasSuffix(p.PreprocessFrom, test.file) {
				t.Errorf("got from %q, want the path of %s", p.PreprocessFrom, test.file)
			}
		})
	}
}

func TestSidecarErrorsNameFileAndField(t *testing.T) {
	for _, test := range []struct{ file, text, want string }{
		{"config.json", `{"pretrained_cfg":`, "unexpected end"},
		{"config.json", `{"pretrained_cfg":{"input_size":[3,224]}}`, "input_size"},
		{"config.json", `{"pretrained_cfg":{"input_size":[3,224,192]}}`, "input_size"},
		{"config.json", `{"pretrained_cfg":{"input_size":[3,-4,-4]}}`, "input_size"},
		{"config.json", `{"pretrained_cfg":{"input_size":[3,224,224],"crop_pct":0}}`, "crop_pct"},
		{"config.json", `{"pretrained_cfg":{"input_size":[3,224,224],"crop_pct":1e-300}}`, "resize"},
		{"config.json", `{"pretrained_cfg":{"input_size":[3,224,224],"crop_mode":"border"}}`, "crop_mode"},
		{"config.json", `{"pretrained_cfg":{"input_size":[3,224,224],"interpolation":"magic"}}`, "interpolation"},
		{"config.json", `{"pretrained_cfg":{"input_size":[3,224,224],"mean":[1,2]}}`, "mean"},
		{"config.json", `{"pretrained_cfg":{"input_size":[3,224,224],"std":[1,0,1]}}`, "std"},
		{"config.json", `{"pretrained_cfg":{"input_size":[3,224,224],"std":[1,1e-60,1]}}`, "std"},
		{"config.json", `{"id2label":{"0":"a","2":"b"}}`, "id2label"},
		{"config.json", `{"id2label":{"0":"a","01":"b"}}`, "id2label"},
		{"config.json", `{"id2label":{"0":"a","1":""}}`, "label 1"},
		{"config.json", `{"label_names":["a\u001b[2J"]}`, "label 0"},
		{"config.json", `{"model_type":"bit","global_padding":"SAME"}`, `global_padding: want none, as in google/bit-50, got "SAME"`},
		{"config.json", `{"model_type":"bit","embedding_dynamic_padding":true}`, "embedding_dynamic_padding: want false"},
		{"config.json", `{"model_type":"bit","num_groups":16}`, "num_groups: want 32, as in google/bit-50, got 16"},
		{"config.json", `{"model_type":"bit","hidden_act":"gelu"}`, `hidden_act: want relu, as in google/bit-50, got "gelu"`},
		{"preprocessor_config.json", `{"size":"big"}`, "size"},
		{"preprocessor_config.json", `{"size":{"height":3,"width":4}}`, "square"},
		{"preprocessor_config.json", `{"image_mean":[0,0,0]}`, "size"},
		{"preprocessor_config.json", `{"size":224,"resample":5}`, "resample"},
		{"preprocessor_config.json", `{"size":224,"rescale_factor":1}`, "rescale_factor: want 1/255, got 1"},
		{"preprocessor_config.json", `{"size":224,"do_rescale":false}`, "do_rescale: want true"},
		{"preprocessor_config.json", `{"size":224,"image_processor_type":"ConvNextImageProcessor","do_resize":false}`, "do_resize"},
	} {
		t.Run(test.file+" "+test.text, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, test.file), []byte(test.text), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := sidecars(filepath.Join(dir, "m.pth"), false)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.file) {
				t.Errorf("got error %v, want one with %q and %q", err, test.want, test.file)
			}
		})
	}
}

// TestPublishedNames: torchvision's newer weights are known by the names of their files, unless something beside them says otherwise.
func TestPublishedNames(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string]int{"resnet50-11ad3fa6.pth": 232, "resnet50-0676ba61.pth": 256, "my-resnet50-11ad3fa6.pth": 256} {
		sources, err := sidecars(filepath.Join(dir, name), false)
		if err != nil {
			t.Fatal(err)
		}
		p, err := choosePreset(familyTraits(config(t, "resnet50")), sources, Overrides{})
		if err != nil || p.Preprocess.Resize != want || strings.Contains(p.PreprocessFrom, "name") != (want == 232) {
			t.Errorf("%s: got %+v from %s, %v", name, p.Preprocess, p.PreprocessFrom, err)
		}
	}
	modeltest.WriteFile(t, filepath.Join(dir, "config.json"), []byte(`{"pretrained_cfg":{"input_size":[3,160,160]}}`))
	sources, err := sidecars(filepath.Join(dir, "resnet50-11ad3fa6.pth"), false)
	if err != nil || len(sources) != 2 {
		t.Fatalf("got %+v, %v", sources, err)
	}
	if p, err := choosePreset(familyTraits(config(t, "resnet50")), sources, Overrides{}); err != nil || p.Preprocess.Crop != 160 {
		t.Errorf("with config.json: got %+v, %v", p.Preprocess, err)
	}
}

func TestForeignSidecarsTellNothing(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"config.json", "preprocessor_config.json"} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte(`{"port": 8080, "std": "c++17"}`), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sources, err := sidecars(filepath.Join(dir, "m.pth"), false)
	if err != nil {
		t.Fatal(err)
	}
	got, err := choosePreset(familyTraits(config(t, "resnet18")), sources, Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	if want := architecturePreset(familyTraits(config(t, "resnet18"))); !reflect.DeepEqual(got, want) {
		t.Errorf("got preset from %q and %q, want that of the architecture", got.PreprocessFrom, got.LabelsFrom)
	}
}

func TestMetadataComesBeforeSidecarsAndOverridesBeforeAll(t *testing.T) {
	meta, err := parseMetadata(map[string]string{
		"architecture": "resnet50-v1",
		"preprocess":   `{"resize":40,"crop":36,"mean":[0,0,0],"std":[1,1,1],"interpolation":"box"}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !meta.detect.StrideOn1x1 {
		t.Error("the architecture resnet50-v1 did not ask for the stride on the 1x1 convolution")
	}
	c := config(t, "resnet18-cifar")
	side, err := parseConfig([]byte(`{"pretrained_cfg":{"input_size":[3,64,64]},"id2label":{"1":"b","0":"a","2":"c","3":"d","4":"e","5":"f","6":"g","7":"h","8":"i","9":"j"}}`))
	if err != nil {
		t.Fatal(err)
	}
	crop, std, in := 33, [3]float32{2, 3, 4}, imaging.Lanczos
	p, err := choosePreset(familyTraits(c), []hints{meta, side}, Overrides{Crop: &crop, Std: &std, Interpolation: &in})
	if err != nil {
		t.Fatal(err)
	}
	want := imaging.Preprocess{Resize: 40, Crop: 33, Std: std, Interpolation: imaging.Lanczos}
	if p.Preprocess != want {
		t.Errorf("got %+v, want %+v", p.Preprocess, want)
	}
	if !strings.Contains(p.PreprocessFrom, "metadata") || !strings.Contains(p.PreprocessFrom, "flags") {
		t.Errorf("got from %q, want metadata and flags", p.PreprocessFrom)
	}
	if strings.Join(p.Labels, "") != "abcdefghij" {
		t.Errorf("got labels %q, want those of id2label in order", p.Labels)
	}
}

func TestLabelsMustFitTheNetwork(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "labels.txt")
	if err := os.WriteFile(path, []byte("a\r\nb\r\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := readLabels(path); err != nil || !reflect.DeepEqual(got, []string{"a", "b"}) {
		t.Errorf("got %q, %v, want a and b", got, err)
	}
	if _, err := choosePreset(familyTraits(config(t, "resnet18")), nil, Overrides{LabelsFile: path}); err == nil || !strings.Contains(err.Error(), "want 1000") {
		t.Errorf("got error %v for 2 labels and 1000 classes", err)
	}
	h := hints{from: "config.json", labels: []string{"a", "b"}}
	if _, err := choosePreset(familyTraits(config(t, "resnet18")), []hints{h}, Overrides{}); err == nil || !strings.Contains(err.Error(), "--labels") {
		t.Errorf("got error %v, want one that says to pass --labels", err)
	}
	// What decides is the first source; the labels of others need not fit, and those of --labels go before all.
	good := make([]string, 1000)
	for i := range good {
		good[i] = "good"
	}
	list := modeltest.WriteFile(t, filepath.Join(dir, "1000.txt"), []byte(strings.Join(good, "\n")))
	bad, err := parseMetadata(map[string]string{"labels": "cat,dog"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		sources []hints
		file    string
		want    string // of the error
	}{
		"a wrong number below":        {[]hints{{from: "first", labels: good}, h}, "", ""},
		"a wrong number first":        {[]hints{h, {from: "second", labels: good}}, "", "config.json: labels: want 1000"},
		"a wrong number and --labels": {[]hints{h}, list, ""},
		"no JSON":                     {[]hints{bad}, "", `metadata of the weights file: "labels": want a JSON list of names, got "cat,dog"`},
		"no JSON and --labels":        {[]hints{bad}, list, ""},
		"no JSON below":               {[]hints{{from: "first", labels: good}, bad}, "", ""},
	} {
		p, err := choosePreset(familyTraits(config(t, "resnet18")), c.sources, Overrides{LabelsFile: c.file})
		if c.want == "" && (err != nil || p.Labels[999] != "good") || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if _, err := readLabels(filepath.Join(dir, "none")); err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestPresetWithoutFixedSizeIsRefused(t *testing.T) {
	zero := 0
	p, err := choosePreset(familyTraits(config(t, "resnet18")), nil, Overrides{Crop: &zero})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inputSide(p.Preprocess); err == nil || !strings.Contains(err.Error(), "--crop") {
		t.Errorf("got error %v, want one that says to pass --crop", err)
	}
}

// TestCropBeyondTheResize: --crop alone, larger than what the preset resizes to, is a larger input and not a black frame.
func TestCropBeyondTheResize(t *testing.T) {
	for _, c := range []struct {
		crop         int
		resize       *int
		want, wantIn int
	}{{224, nil, 256, 224}, {200, nil, 256, 200}, {256, nil, 256, 256}, {320, nil, 365, 320}, {448, nil, 512, 448}, {320, new(int), 0, 320}} {
		p, err := choosePreset(familyTraits(config(t, "resnet18")), nil, Overrides{Crop: &c.crop, Resize: c.resize})
		if err != nil || p.Preprocess.Resize != c.want || p.Preprocess.Crop != c.wantIn {
			t.Errorf("--crop %d: got %+v, %v, want a resize to %d", c.crop, p.Preprocess, err, c.want)
		}
	}
	squash := []hints{{from: "x", preprocess: &imaging.Preprocess{Resize: 384, ResizeMode: imaging.ResizeExact, Std: [3]float32{1, 1, 1}, Interpolation: imaging.Bilinear}}}
	crop := 400
	if p, err := choosePreset(familyTraits(config(t, "resnet18")), squash, Overrides{Crop: &crop}); err != nil || p.Preprocess.Resize != 400 {
		t.Errorf("a squash: got %+v, %v", p.Preprocess, err)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"pretrained_cfg":{"input_size":[3,224,224],"crop_pct":0.95,"interpolation":"bicubic","mean":[0.485,0.456,0.406],"std":[0.229,0.224,0.225]}}`))
	f.Add([]byte(`{"id2label":{"0":"tench","1":"goldfish"},"downsample_in_bottleneck":true}`))
	f.Add([]byte(`{"label_names":["a","b"],"pretrained_cfg":{"input_size":[3,1,1],"crop_pct":1e308}}`))
	f.Fuzz(func(t *testing.T, data []byte) { checkHints(t, data, parseConfig) })
}

func FuzzParsePreprocessorConfig(f *testing.F) {
	f.Add([]byte(`{"crop_pct":0.875,"feature_extractor_type":"ConvNextFeatureExtractor","resample":3,"size":224}`))
	f.Add([]byte(`{"size":{"shortest_edge":384},"image_processor_type":"ConvNextImageProcessor"}`))
	f.Add([]byte(`{"size":{"height":224,"width":224},"crop_size":{"height":1,"width":1},"do_center_crop":true,"do_normalize":false}`))
	f.Fuzz(func(t *testing.T, data []byte) { checkHints(t, data, parsePreprocessorConfig) })
}

func FuzzParseMetadata(f *testing.F) {
	f.Add(`["a","b"]`, `{"resize":32,"crop":32,"mean":[0,0,0],"std":[1,1,1],"interpolation":"bilinear"}`)
	f.Add(`null`, `null`)
	f.Fuzz(func(t *testing.T, labels, preprocess string) {
		checkHints(t, nil, func([]byte) (hints, error) {
			return parseMetadata(map[string]string{"labels": labels, "preprocess": preprocess})
		})
	})
}

// checkHints holds what a parser accepts against what the rest of the package relies on.
func checkHints(t *testing.T, data []byte, parse func([]byte) (hints, error)) {
	t.Helper()
	h, err := parse(data)
	if err != nil {
		return
	}
	if h.preprocess != nil {
		if err := h.preprocess.Validate(); err != nil {
			t.Errorf("an invalid transform was accepted: %v", err)
		}
	}
	if h.labels != nil {
		if err := checkLabels(h.labels); err != nil {
			t.Errorf("invalid labels were accepted: %v", err)
		}
	}
}
