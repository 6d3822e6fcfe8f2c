package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/internal/model/modeltest"
)

// TestFlagsThatWouldMeanNothingAreRefused: nobody should believe that a flag was heeded which was not.
func TestFlagsThatWouldMeanNothingAreRefused(t *testing.T) {
	world(t)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"inspect", "resnet50", "--stride-on-1x1"}, exitModel, "--stride-on-1x1"},
		{[]string{"inspect", "resnet18", "--shortcut", "zero-pad"}, exitModel, "--shortcut zero-pad"},
		{[]string{"inspect", "resnet18", "--state-dict", "ema"}, exitModel, "--state-dict"},
		{[]string{"inspect", "resnet18", "--weights", "random:abc"}, exitModel, "random:abc"},
		{[]string{"inspect", "resnet18", "--backend", "nosuch", "--split", "nonsense"}, exitUsage, "--backend=nosuch --split=nonsense: only --plan"},
		{[]string{"classify", "-m", "colour.safetensors", "--backend", "vulkan@f16", "--precision", "f32", "pictures"}, exitUsage, "want one precision"},
		{[]string{"bench", "colour.safetensors", "--on", "reference", "--device", "7"}, exitUsage, "--on names the devices: want it without --device=7"},
		{[]string{"bench", "colour.safetensors", "--turns", "--precision", "f32,f16"}, exitUsage, "one precision"},
		{[]string{"conformance", "--list", "--backend", "nosuch"}, exitUsage, "--list runs nothing: want it without --backend"},
		{[]string{"conformance", "--list", "--precision", "f16"}, exitUsage, "--precision"},
		{[]string{"classify", "-m", "colour.safetensors", "--shortcut", "foo", "pictures"}, exitUsage, "--shortcut: "},
		{[]string{"classify", "-m", "colour.safetensors", "--interpolation", "foo", "pictures"}, exitUsage, "--interpolation: "},
		{[]string{"classify", "-m", "colour.safetensors", "--mean", "nan", "pictures"}, exitUsage, "--mean: want a finite number, got \"nan\""},
	} {
		if o := do(t, c.args...); o.code != c.code || !strings.Contains(o.stderr, c.want) {
			t.Errorf("%v: got %+v, want code %d and %q", c.args, o, c.code, c.want)
		}
	}
}

// TestTheEnvironmentsDeviceGivesWayToOneThatIsNamed: RESNET_RUN_DEVICE is a default.
func TestTheEnvironmentsDeviceGivesWayToOneThatIsNamed(t *testing.T) {
	world(t)
	env := map[string]string{"RESNET_RUN_DEVICE": "radeon"}
	args := []string{"classify", "-m", "colour.safetensors", "--backend", "reference:0", "pictures"}
	if o := run(t, t.Context(), nil, env, nil, args...); o.code != exitOK {
		t.Errorf("got %+v", o)
	}
	if o := run(t, t.Context(), nil, env, nil, append(args, "--device", "1")...); o.code != exitUsage || !strings.Contains(o.stderr, "--device 1 name two devices") {
		t.Errorf("two that are named: got %+v", o)
	}
}

// TestBenchOfAllLeavesOutPrecisionsThatABackendHasNot: and says so.
func TestBenchOfAllLeavesOutPrecisionsThatABackendHasNot(t *testing.T) {
	world(t)
	b := []backend.Backend{spoiled{Backend: reference.New()}}
	o := run(t, t.Context(), strings.NewReader(""), nil, b, "bench", "colour.safetensors", "--on", "all", "--precision", "f32,f16", "-n", "3", "--warmup", "0", "--no-peak", "--starts", "0", "-f", "csv")
	if o.code != exitOK || strings.Count(o.stdout, "\n") != 2 || !strings.Contains(o.stderr, "backend spoiled is left out with --precision f16: it has no variants") {
		t.Errorf("got %+v", o)
	}
}

// stuck is a backend whose devices cannot be closed properly.
type stuck struct{ backend.Backend }

func (stuck) Name() string { return "stuck" }

func (s stuck) Open(ctx context.Context, id string) (backend.Device, error) {
	d, err := s.Backend.Open(ctx, id)
	return stuckDevice{d}, err
}

type stuckDevice struct{ backend.Device }

func (d stuckDevice) Close() error { return errors.Join(errors.New("it is stuck"), d.Device.Close()) }

// TestErrorsOfClosingAreTold by every command that opens devices.
func TestErrorsOfClosingAreTold(t *testing.T) {
	world(t)
	b := []backend.Backend{reference.New(), stuck{reference.New()}}
	for _, args := range [][]string{
		{"compare", "stuck", "reference", "-m", "colour.safetensors"},
		{"compare", "reference", "stuck", "-m", "colour.safetensors"},
		{"classify", "--backend", "stuck", "-m", "colour.safetensors", "pictures"},
		{"explain", "--backend", "stuck", "-m", "colour.safetensors", "pictures"},
		{"embed", "--backend", "stuck", "-m", "colour.safetensors", "pictures"},
		{"eval", "--backend", "stuck", "-m", "colour.safetensors", "--dataset", "set"},
		{"inspect", "--plan", "--backend", "stuck", "colour.safetensors"},
	} {
		if o := run(t, t.Context(), strings.NewReader(""), nil, b, args...); o.code != exitRun || !strings.Contains(o.stderr, "it is stuck") {
			t.Errorf("%v: got %+v", args, o)
		}
	}
}

// TestFlagsAreCheckedBeforePicturesAreLookedFor: a tree may be large.
func TestFlagsAreCheckedBeforePicturesAreLookedFor(t *testing.T) {
	world(t)
	for _, command := range []string{"classify", "explain", "embed"} {
		o := do(t, command, "-m", "colour.safetensors", "--format", "bogus", "[a-")
		if o.code != exitUsage || !strings.Contains(o.stderr, "read --format") || strings.Contains(o.stderr, "pattern") {
			t.Errorf("%s: got %+v", command, o)
		}
	}
}

// TestEvalOfVeryManyClassesHasNoConfusionMatrix: its square would not fit anywhere.
func TestEvalOfVeryManyClassesHasNoConfusionMatrix(t *testing.T) {
	world(t)
	const classes = 3000
	path := modeltest.WriteManyClasses(t, ".", classes)
	for _, f := range []string{"class 0", "class 2999"} {
		modeltest.WriteFile(t, "many/"+f+"/1.png", modeltest.PNG(t, modeltest.Red, 8, 8))
	}
	o := do(t, "eval", "-m", path, "--dataset", "many", "-f", "csv")
	lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
	if o.code != exitOK || len(lines) != classes+1 || lines[0] != "index,label,pictures,correct,accuracy" {
		t.Errorf("csv: got code %d, %s, %d lines beginning with %s", o.code, o.stderr, len(lines), lines[0])
	}
	if o := do(t, "eval", "-m", path, "--dataset", "many", "-f", "json"); o.code != exitOK || !strings.Contains(o.stdout, `"confusion": null`) {
		t.Errorf("json: got code %d, %s", o.code, o.stderr)
	}
	if o := do(t, "eval", "-m", path, "--dataset", "many"); o.code != exitOK || strings.Contains(o.stdout, "confusion") || !slices.ContainsFunc(strings.Split(o.stdout, "\n"), func(l string) bool { return strings.HasPrefix(l, "2999 class 2999") }) {
		t.Errorf("table: got %+v", o)
	}
}
