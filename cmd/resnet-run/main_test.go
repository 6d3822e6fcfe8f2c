package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"

	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/internal/model/modeltest"
)

// world is a folder with the colour network, pictures and a data set, in which commands run.
func world(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	modeltest.WriteModel(t, ".")
	modeltest.WriteNaNModel(t, ".")
	modeltest.WriteONNX(t, ".")
	modeltest.WritePictures(t, "pictures")
	modeltest.WriteFile(t, "bad.jpg", []byte("\xff\xd8\xff and nothing more"))
	for class, colours := range map[string][]string{"red": {"red", "green"}, "Green": {"green"}, "blue": {"blue", "blue", "red"}} {
		for i, c := range colours {
			data, err := os.ReadFile("pictures/" + c + ".png")
			if err != nil {
				t.Fatal(err)
			}
			modeltest.WriteFile(t, fmt.Sprintf("set/%s/%d.png", class, i), data)
		}
	}
}

// fake is a backend with given devices that can be listed and nothing else.
type fake struct {
	name string
	list []backend.DeviceInfo
	err  error
}

func (f fake) Name() string                                          { return f.name }
func (f fake) Devices(context.Context) ([]backend.DeviceInfo, error) { return f.list, f.err }
func (f fake) Open(context.Context, string) (backend.Device, error) {
	return nil, fmt.Errorf("open device: %w", backend.ErrDeviceLost)
}

var noVulkan = fake{name: "vulkan", err: fmt.Errorf("%w: no Vulkan loader: install libvulkan1", backend.ErrNoDevice)}

type outcome struct {
	stdout, stderr string
	code           int
}

// run runs the program with the reference backend and a vulkan backend that has no device, or with others.
func run(t *testing.T, ctx context.Context, stdin io.Reader, env map[string]string, backends []backend.Backend, args ...string) outcome {
	t.Helper()
	if backends == nil {
		backends = []backend.Backend{noVulkan, reference.New()}
	}
	r := &backend.Registry{}
	for _, b := range backends {
		if err := r.Register(b); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs bytes.Buffer
	a := &app{stdin: stdin, stdout: &out, stderr: &errs, getenv: func(k string) string { return env[k] }, registry: r}
	code := a.run(ctx, args)
	return outcome{out.String(), errs.String(), code}
}

// do is run without anything special.
func do(t *testing.T, args ...string) outcome {
	t.Helper()
	return run(t, t.Context(), strings.NewReader(""), nil, nil, args...)
}

// TestClassifyJSONHasTheKeysOfItsDocumentation decodes strictly, so that a key more or less is noticed.
func TestClassifyJSONHasTheKeysOfItsDocumentation(t *testing.T) {
	world(t)
	type object struct {
		Image       *string `json:"image"`
		Predictions *[]struct {
			Index       *int     `json:"index"`
			Label       *string  `json:"label"`
			Probability *float64 `json:"probability"`
			Logit       *float64 `json:"logit"`
		} `json:"predictions"`
		Model   *string         `json:"model"`
		Backend *string         `json:"backend"`
		Device  *string         `json:"device"`
		Error   json.RawMessage `json:"error"`
	}
	check := func(data string, v any) {
		t.Helper()
		d := json.NewDecoder(strings.NewReader(data))
		d.DisallowUnknownFields()
		if err := d.Decode(v); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
	}
	o := do(t, "classify", "-m", "colour.safetensors", "-f", "json", "pictures/red.png", "bad.jpg")
	var array []object
	check(o.stdout, &array)
	o = do(t, "classify", "-m", "colour.safetensors", "-f", "ndjson", "pictures/red.png", "bad.jpg")
	for _, line := range strings.Split(strings.TrimSpace(o.stdout), "\n") {
		var v object
		check(line, &v)
		array = append(array, v)
	}
	if len(array) != 4 {
		t.Fatalf("got %d objects, want 4", len(array))
	}
	for i, v := range array {
		if v.Image == nil || v.Predictions == nil || v.Model == nil || v.Backend == nil || v.Device == nil || v.Error == nil {
			t.Fatalf("object %d lacks a key: %+v", i, v)
		}
		if bad := i%2 == 1; bad != (string(v.Error) != "null") || bad != (len(*v.Predictions) == 0) {
			t.Errorf("object %d: got error %s and %d predictions", i, v.Error, len(*v.Predictions))
		}
	}
	p := (*array[0].Predictions)[0]
	if *p.Index != 0 || *p.Label != "red" || *p.Logit != modeltest.Scale || !(*p.Probability > 0.9 && *p.Probability < 1) {
		t.Errorf("got %+v", p)
	}
}

func TestExitCodes(t *testing.T) {
	world(t)
	colour := []string{"classify", "-m", "colour.safetensors"}
	with := func(args ...string) []string { return append(slices.Clone(colour), args...) }
	lost := []backend.Backend{fake{name: "vulkan", list: []backend.DeviceInfo{{Name: "GPU", ID: "0001"}}}}
	for _, test := range []struct {
		name     string
		args     []string
		backends []backend.Backend
		code     int
		stderr   string
	}{
		{"good", with("pictures"), nil, exitOK, "using the reference backend"},
		{"one bad", with("bad.jpg", "pictures"), nil, exitInput, "bad.jpg"},
		{"broken glob", with("[a-", "pictures"), nil, exitInput, "syntax error in pattern"},
		{"no arguments", with(), nil, exitUsage, "requires at least 1 arg"},
		{"unknown command", []string{"clasify"}, nil, exitUsage, "clasify"},
		{"unknown flag", with("--gpu", "x"), nil, exitUsage, "--gpu"},
		{"flag without number", with("--topk", "x", "pictures"), nil, exitUsage, "topk"},
		{"topk 0", with("--topk", "0", "pictures"), nil, exitUsage, "--topk"},
		{"negative batch", with("--batch", "-1", "pictures"), nil, exitUsage, "--batch"},
		{"unknown format", with("--format", "xml", "pictures"), nil, exitUsage, "table|json|csv|ndjson"},
		{"bad mean", with("--mean", "1,2", "pictures"), nil, exitUsage, "--mean"},
		{"bad interpolation", with("--interpolation", "magic", "pictures"), nil, exitUsage, "bilinear"},
		{"bad shortcut", with("--shortcut", "magic", "pictures"), nil, exitUsage, "projection"},
		{"unknown backend", with("--backend", "cuda", "pictures"), nil, exitUsage, "reference"},
		{"two devices", with("--backend", "reference:0", "--device", "1", "pictures"), nil, exitUsage, "want one"},
		{"no such device", with("--backend", "reference:7", "pictures"), nil, exitNoDevice, "no device"},
		{"no such device by flag", with("--backend", "reference", "--device", "radeon", "pictures"), nil, exitNoDevice, "radeon"},
		{"no vulkan", with("--backend", "vulkan", "pictures"), nil, exitNoDevice, "install libvulkan1"},
		{"no such device anywhere", with("--device", "radeon", "pictures"), nil, exitNoDevice, "radeon"},
		{"device lost", with("pictures"), lost, exitRun, "device lost"},
		{"unknown model", []string{"classify", "-m", "resnet5", "pictures"}, nil, exitModel, "unknown model"},
		{"bad std", with("--std", "0", "pictures"), nil, exitModel, "std"},
		{"eval without set", []string{"eval"}, nil, exitUsage, "--dataset"},
		{"eval of nothing", []string{"eval", "--dataset", "gone", "-m", "colour.safetensors"}, nil, exitRun, "gone"},
		{"eval negative limit", []string{"eval", "--dataset", "set", "--limit", "-1"}, nil, exitUsage, "--limit"},
		{"inspect nothing", []string{"inspect"}, nil, exitUsage, "arg"},
		{"inspect bad extent", []string{"inspect", "resnet18", "--input", "7"}, nil, exitUsage, "HxW"},
		{"inspect bad passes", []string{"inspect", "resnet18", "--passes", "all"}, nil, exitUsage, "before or after"},
		{"inspect too small", []string{"inspect", "resnet18-cifar", "--input", "8x8"}, nil, exitModel, "avgpool"},
		{"devices without any", []string{"devices"}, []backend.Backend{noVulkan}, exitNoDevice, "install libvulkan1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := run(t, t.Context(), strings.NewReader(""), nil, test.backends, test.args...)
			if o.code != test.code || !strings.Contains(o.stderr, test.stderr) {
				t.Errorf("got exit code %d and stderr\n%s\nwant %d and %q", o.code, o.stderr, test.code, test.stderr)
			}
			if usage := strings.Contains(o.stderr, "--help' for its usage"); usage != (test.code == exitUsage) {
				t.Errorf("points to the usage: %t, with exit code %d", usage, test.code)
			}
		})
	}
}

func TestStdin(t *testing.T) {
	world(t)
	green := modeltest.PNG(t, modeltest.Green, 3, 4)
	o := run(t, t.Context(), bytes.NewReader(green), nil, nil, "classify", "-m", "colour.safetensors", "-f", "csv", "pictures/red.png", "-")
	if o.code != exitOK || !strings.Contains(o.stdout, "\n-,1,1,green,") {
		t.Errorf("got %+v", o)
	}
	o = run(t, t.Context(), strings.NewReader(""), nil, nil, "classify", "-m", "colour.safetensors", "-")
	if o.code != exitInput || !strings.Contains(o.stderr, "-: ") || !strings.Contains(o.stderr, "empty") {
		t.Errorf("empty: got %+v", o)
	}
}

func TestEnvironmentSetsDefaultsAndFlagsGoBefore(t *testing.T) {
	world(t)
	env := map[string]string{"RESNET_RUN_BACKEND": "vulkan", "RESNET_RUN_DEVICE": "radeon", "RESNET_RUN_MODEL": "colour.safetensors"}
	if o := run(t, t.Context(), nil, env, nil, "classify", "pictures"); o.code != exitNoDevice {
		t.Errorf("got %+v, want the backend of the environment, which has no device", o)
	}
	if o := run(t, t.Context(), nil, env, nil, "classify", "--backend", "reference", "pictures"); o.code != exitNoDevice || !strings.Contains(o.stderr, "radeon") {
		t.Errorf("got %+v, want the device of the environment", o)
	}
	if o := run(t, t.Context(), nil, env, nil, "classify", "--backend", "reference", "--device", "", "pictures"); o.code != exitOK {
		t.Errorf("got %+v, want flags to go before", o)
	}
}

func TestPresetFlagsChangeTheResult(t *testing.T) {
	world(t)
	logit := func(args ...string) string {
		o := do(t, append([]string{"classify", "-m", "colour.safetensors", "-f", "csv", "pictures/red.png"}, args...)...)
		if o.code != exitOK {
			t.Fatalf("%v: got %+v", args, o)
		}
		return strings.Split(strings.Split(o.stdout, "\n")[1], ",")[5]
	}
	for _, test := range []struct {
		want string
		args []string
	}{
		{"4", nil},
		{"2", []string{"--std", "1"}},                  // (1-0.5)/1·4
		{"8", []string{"--mean", "0,0,0"}},             // (1-0)/0.5·4
		{"4", []string{"--crop", "6"}},                 // a smaller piece of the same red
		{"1", []string{"--resize", "8", "--crop=16"}},  // a quarter is red, the rest black: relu(-1)
		{"4", []string{"--interpolation", "nearest"}},  //
		{"4", []string{"--no-exif-orientation"}},       //
		{"4", []string{"--batch", "5", "--topk", "9"}}, // more than there are
	} {
		if got := logit(test.args...); got != test.want {
			t.Errorf("%v: got logit %s, want %s", test.args, got, test.want)
		}
	}
}

func TestEvalArchiveLimitAndFailures(t *testing.T) {
	world(t)
	modeltest.WriteFile(t, "set/red/9.png", []byte("damaged"))
	o := do(t, "eval", "-m", "colour.safetensors", "--dataset", "set", "-f", "json")
	var e struct {
		Pictures int
		Top1     float64
		Failed   []struct{ Image, Error string }
		Time     map[string]float64
	}
	if err := json.Unmarshal([]byte(o.stdout), &e); err != nil {
		t.Fatal(err)
	}
	if o.code != exitInput || e.Pictures != 6 || len(e.Failed) != 1 || !strings.Contains(e.Failed[0].Image, "9.png") || e.Top1 < 0.66 || e.Top1 > 0.67 {
		t.Errorf("got exit code %d, %+v", o.code, e)
	}
	sum := e.Time["backend_share"] + e.Time["waiting_share"] + e.Time["compile_share"] + e.Time["other_share"]
	if sum < 0.999 || sum > 1.001 {
		t.Errorf("the shares of the time add up to %v", sum)
	}
	if o = do(t, "eval", "-m", "colour.safetensors", "--dataset", "set", "--limit", "3", "-f", "json"); !strings.Contains(o.stdout, `"pictures": 3`) {
		t.Errorf("limit: got %+v", o)
	}
}

func TestModelsAndVersion(t *testing.T) {
	o := do(t, "models", "-f", "csv")
	if o.code != exitOK || !strings.Contains(o.stdout, "\nresnet50,architecture,3x224x224,1000,architecture (1000 classes: ImageNet-1k),25557032,4089184256\n") {
		t.Errorf("got %+v", o)
	}
	if o := do(t, "models"); !strings.Contains(strings.Join(strings.Fields(o.stdout), " "), "resnet50 architecture 3x224x224 1000 25,557,032 4.089") {
		t.Errorf("got %s", o.stdout)
	}
	var v struct{ Version, Go, Platform string }
	if err := json.Unmarshal([]byte(do(t, "version", "-f", "json").stdout), &v); err != nil || v.Go != runtime.Version() || v.Version == "" {
		t.Errorf("got %+v, %v", v, err)
	}
	if o := do(t, "version"); !strings.HasPrefix(o.stdout, "resnet-run "+v.Version) {
		t.Errorf("got %s", o.stdout)
	}
}

func TestDevicesAreFoundInPreferredOrder(t *testing.T) {
	world(t)
	gone := fake{name: "vulkan", list: []backend.DeviceInfo{{Name: "Radeon", ID: "0001-0002", Type: backend.DiscreteGPU}}}
	o := run(t, t.Context(), nil, nil, []backend.Backend{gone, reference.New()}, "classify", "-m", "colour.safetensors", "pictures")
	if o.code != exitOK || !strings.Contains(o.stderr, "device lost") || !strings.Contains(o.stderr, "using the reference backend") {
		t.Errorf("a device that does not open: got %+v, want the reference and the reason", o)
	}
	o = run(t, t.Context(), nil, nil, []backend.Backend{gone, reference.New()}, "classify", "-m", "colour.safetensors", "--device", "float64", "pictures")
	if o.code != exitOK {
		t.Errorf("a device of the second backend by name: got %+v", o)
	}
}

// TestTheCPUIsPreferredToADriverThatRunsOnIt, unless the driver is asked for.
func TestTheCPUIsPreferredToADriverThatRunsOnIt(t *testing.T) {
	world(t)
	software := fake{name: "vulkan", list: []backend.DeviceInfo{{Backend: "vulkan", Name: "llvmpipe", ID: "0001-0002", Type: backend.CPU}}}
	backends := []backend.Backend{software, cpu.New(cpu.Options{}), reference.New()}
	classify := []string{"classify", "-m", "colour.safetensors", "-f", "json", "pictures"}
	o := run(t, t.Context(), nil, nil, backends, classify...)
	if o.code != exitOK || !strings.Contains(o.stdout, `"backend":"cpu"`) || !strings.Contains(o.stderr, `using the cpu backend because: backend "vulkan"`) || !strings.Contains(o.stderr, "llvmpipe") {
		t.Errorf("got %+v, want the cpu backend and the reason", o)
	}
	if o := run(t, t.Context(), nil, nil, backends, append(classify, "--device", "llvmpipe")...); !strings.Contains(o.stderr, "device lost") {
		t.Errorf("the driver by name: got %+v, want its own error", o)
	}
	if o := run(t, t.Context(), nil, nil, backends, append(classify, "--backend", "vulkan")...); !strings.Contains(o.stderr, "device lost") {
		t.Errorf("the driver's backend: got %+v, want its own error", o)
	}
	if o := run(t, t.Context(), nil, nil, backends, "devices"); o.code != exitOK || !strings.Contains(o.stderr, "--backend auto takes cpu") || !strings.Contains(o.stderr, "llvmpipe") {
		t.Errorf("devices: got %+v, want which one auto takes and why", o)
	}
	gpu := fake{name: "vulkan", list: []backend.DeviceInfo{{Backend: "vulkan", Name: "Radeon", ID: "0001-0002", Type: backend.DiscreteGPU}}}
	if o := run(t, t.Context(), nil, nil, []backend.Backend{gpu, cpu.New(cpu.Options{})}, "devices"); !strings.Contains(o.stderr, "--backend auto takes vulkan: Radeon\n") {
		t.Errorf("devices with a GPU: got %+v, want it taken", o)
	}
}

func TestThreads(t *testing.T) {
	world(t)
	before := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	backends := []backend.Backend{noVulkan, cpu.New(cpu.Options{})}
	classify := []string{"classify", "-v", "-m", "colour.safetensors", "pictures"}
	if o := run(t, t.Context(), nil, nil, backends, append(classify, "--threads", "3")...); o.code != exitOK || runtime.GOMAXPROCS(0) != 3 {
		t.Errorf("got %+v with %d threads, want 3", o, runtime.GOMAXPROCS(0))
	}
	if o := run(t, t.Context(), nil, map[string]string{"RESNET_RUN_THREADS": "5"}, backends, classify...); o.code != exitOK || runtime.GOMAXPROCS(0) != 5 {
		t.Errorf("by the environment: got %+v with %d threads, want 5", o, runtime.GOMAXPROCS(0))
	}
	for _, bad := range []string{"-1", "many", "5000"} {
		if o := run(t, t.Context(), nil, nil, backends, append(classify, "--threads", bad)...); o.code != exitUsage || !strings.Contains(o.stderr, "--threads") {
			t.Errorf("--threads %s: got %+v, want a usage error", bad, o)
		}
	}
}

// interrupter is a standard input that never gives anything: the first to read it interrupts the program.
type interrupter struct {
	interrupt func()
	end       chan struct{}
}

func (i interrupter) Read([]byte) (int, error) {
	i.interrupt()
	<-i.end
	return 0, io.EOF
}

func TestInterruption(t *testing.T) {
	world(t)
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	in := interrupter{cancel, make(chan struct{})}
	start := time.Now()
	o := run(t, ctx, in, nil, nil, "classify", "-m", "colour.safetensors", "-f", "json", "-b", "1", "pictures", "-")
	if o.code != exitInterrupted || !strings.Contains(o.stderr, "interrupted") || time.Since(start) > 10*time.Second {
		t.Errorf("got %+v after %v", o, time.Since(start))
	}
	var done []map[string]any
	if err := json.Unmarshal([]byte(o.stdout), &done); err != nil || len(done) > 3 {
		t.Errorf("what was done is no JSON of up to 3 pictures: %v: %s", err, o.stdout)
	}
	close(in.end)
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func TestProgressBarIsDrawnAndCleared(t *testing.T) {
	var b bytes.Buffer
	p := newBar(&b, 3)
	for range 3 {
		p.add()
	}
	p.above(func() { b.WriteString("note") })
	p.finish()
	if got := b.String(); !strings.Contains(got, "classifying") || !strings.Contains(got, "note") {
		t.Errorf("got %q", got)
	}
	a := &app{stdout: &b, stderr: &b}
	if a.newProgress(1000, "table").bar != nil {
		t.Error("a bar was made for a writer that is no terminal")
	}
}

// TestEXIFOrientationFlag shows a mirrored picture: 9 columns, of which the crop leaves the first 8; the last is blue.
func TestEXIFOrientationFlag(t *testing.T) {
	world(t)
	img := image.NewRGBA(image.Rect(0, 0, 9, 8))
	for y := range 8 {
		for x := range 9 {
			img.Set(x, y, modeltest.Red)
		}
		img.Set(8, y, modeltest.Blue)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	// One TIFF directory with one entry: tag 0x112 (orientation), a short, count 1, value 2 (mirrored).
	chunk := "eXIf" + "MM\x00*\x00\x00\x00\x08" + "\x00\x01" + "\x01\x12\x00\x03\x00\x00\x00\x01\x00\x02\x00\x00" + "\x00\x00\x00\x00"
	exif := binary.BigEndian.AppendUint32(nil, uint32(len(chunk)-4))
	exif = append(exif, chunk...)
	exif = binary.BigEndian.AppendUint32(exif, crc32.ChecksumIEEE([]byte(chunk)))
	const afterIHDR = 8 + 12 + 13
	modeltest.WriteFile(t, "mirrored.png", slices.Concat(b.Bytes()[:afterIHDR], exif, b.Bytes()[afterIHDR:]))
	for _, test := range []struct {
		args []string
		want string // the logit of red: 4 times its share of the columns
	}{{nil, "3.5"}, {[]string{"--no-exif-orientation"}, "4"}} {
		o := do(t, append([]string{"classify", "-m", "colour.safetensors", "-f", "csv", "mirrored.png"}, test.args...)...)
		if o.code != exitOK || !strings.Contains(o.stdout, "mirrored.png,1,0,red,0.9") || !strings.Contains(o.stdout, ","+test.want+",colour") {
			t.Errorf("%v: got %+v, want logit %s", test.args, o, test.want)
		}
	}
}
