package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/internal/imaging"
	"github.com/resnet-run/resnet-run/internal/machine"
	"github.com/resnet-run/resnet-run/internal/model"
	"github.com/resnet-run/resnet-run/internal/model/pipeline"
	"github.com/resnet-run/resnet-run/internal/serve"
	"github.com/spf13/cobra"
)

// serveFlags are the flags of the command.
type serveFlags struct {
	listen   string
	batch    int
	queue    int
	body     string
	pixels   int64
	limits   serve.Limits
	noOrient bool
	device   *deviceFlags
	model    *modelFlags
}

// bodiesFactor is how many bodies of the greatest size may be read at once.
const bodiesFactor = 8

func (a *app) serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve [MODEL...]",
		Short: "Answer HTTP requests with what is on pictures",
		Long: `Answer HTTP requests with what is on pictures. MODEL is as for --model of classify; several run on one device.

  POST /classify?topk=N&model=NAME   pictures, as the body or as the files of a form; answers as classify --format json does
  GET  /                             a page to drop pictures on
  POST /v2/models/NAME/infer         tensors, in the Open Inference Protocol (KServe V2), as JSON or binary as Triton has it
  GET  /v2, /v2/models/NAME, /v2/health/ready, /v2/health/live
  GET  /metrics                      for Prometheus

Pictures of all requests share batches: a device that is free takes what waits, up to --batch. More than --queue waiting pictures are
refused with 503. It listens on this machine alone unless --listen says otherwise; it has no login and no encryption, so let something that
has them stand before it. Ctrl-C ends it when the requests that it has are answered, with exit code 0.

` + exitCodesHelp,
		Example: `  resnet-run serve resnet50-0676ba61.pth
  curl -F file=@cat.jpg 'http://127.0.0.1:8000/classify?topk=3'
  curl --data-binary @cat.jpg http://127.0.0.1:8000/classify`,
		Args: usageArgs(cobra.ArbitraryArgs),
	}
	s := cmd.Flags()
	s.StringVar(&f.listen, "listen", "127.0.0.1:8000", "`ADDRESS:PORT` to listen on; port 0 takes a free one, which standard output says")
	s.IntVarP(&f.batch, "batch", "b", 0, "run up to `N` pictures at a time, 0 = choose")
	s.IntVar(&f.queue, "queue", 256, "let up to `N` pictures wait for each model")
	s.StringVar(&f.body, "max-body", "64MiB", "`SIZE` of a request at most; eight times as much may be read at once")
	s.Int64Var(&f.pixels, "max-pixels", usualPixels, "`N` pixels of a picture at most; while it is decoded one may take 18 bytes of memory")
	s.BoolVar(&f.noOrient, "no-exif-orientation", false, "leave pictures as they are stored, as PIL does")
	f.device = a.addDeviceFlags(s)
	addAutoPrecision(s, &f.device.precision)
	f.device.addScheduleFlags(s)
	a.addTuneFlag(s, f.device)
	f.model = a.addModelFlags(s, false)
	cmd.RunE = runs(func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			args = []string{cmp.Or(a.getenv("RESNET_RUN_MODEL"), model.DefaultName)}
		}
		if err := f.check(); err != nil {
			return failure(exitUsage, err)
		}
		return a.serve(cmd.Context(), &f, args)
	})
	return cmd
}

// check reads the limits.
func (f *serveFlags) check() error {
	if f.batch < 0 {
		return fmt.Errorf("--batch: want 0 or more, got %d", f.batch)
	}
	if f.queue < 1 || f.queue > 1<<20 {
		return fmt.Errorf("--queue: want 1 to %d, got %d", 1<<20, f.queue)
	}
	size, err := machine.ParseSize(f.body)
	if err == nil && (size < 1 || size > 1<<40) {
		err = fmt.Errorf("want 1 byte to 1TiB, got %s", f.body)
	}
	if err != nil {
		return fmt.Errorf("--max-body: %w", err)
	}
	if f.pixels < 1 || f.pixels > imaging.DefaultMaxPixels {
		return fmt.Errorf("--max-pixels: want 1 to %d, got %d", int64(imaging.DefaultMaxPixels), f.pixels)
	}
	f.limits = serve.Limits{Queue: f.queue, Body: size, Bodies: bodiesFactor * size, Decoders: decoders(f.pixels)}
	return nil
}

const (
	usualPixels   = 64_000_000 // more than telephones make
	bytesPerPixel = 18         // of a progressive JPEG of four colours with its RGB beside it, which takes most
)

// decoders is how many pictures may be decoded at once, in half of the memory that is free.
func decoders(pixels int64) int {
	n := int64(runtime.GOMAXPROCS(0))
	if free, err := machine.Available(); err == nil {
		n = min(n, free/2/(bytesPerPixel*pixels))
	}
	return int(max(n, 1))
}

func (a *app) serve(ctx context.Context, f *serveFlags, names []string) (err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", f.listen) // before the slow work: it may be in use
	if err != nil {
		return fmt.Errorf("--listen %s: %w", f.listen, err)
	}
	defer listener.Close() //nolint:errcheck // a second time, as a rule
	var models []*model.Model
	for _, name := range names {
		flags := *f.model
		flags.model = name
		m, err := a.loadModel(ctx, &flags)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(models, func(o *model.Model) bool { return urlName(o) == urlName(m) }) {
			return failure(exitUsage, fmt.Errorf("two models would be called %q: want files of different names", urlName(m)))
		}
		models = append(models, m)
	}
	dev, err := a.openDevice(ctx, f.device)
	if err != nil {
		return err
	}
	var runners []*pipeline.Runner
	defer func() {
		for _, r := range runners {
			err = errors.Join(err, r.Close())
		}
		err = errors.Join(err, dev.Close())
	}()
	var networks []*serve.Network
	for _, m := range models {
		r, err := pipeline.NewRunner(ctx, dev, m, nil, f.batch, math.MaxInt)
		if err != nil {
			return err
		}
		runners = append(runners, r)
		sig := r.Signature()
		networks = append(networks, &serve.Network{Name: urlName(m), Model: m, Device: dev.Info(), Runner: r, Input: sig.Inputs[0], Outputs: sig.Outputs})
	}
	level := slog.LevelWarn
	if a.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
	server, err := serve.New(buildVersion().Version, networks, f.limits, imaging.DecodeOptions{IgnoreOrientation: f.noOrient, MaxPixels: f.pixels}, log)
	if err != nil {
		return failure(exitUsage, err)
	}
	defer server.Close()
	return a.listen(ctx, listener, server, runners, dev.Info())
}

// The times of a server. A picture may take a software driver many seconds.
const (
	headerTime   = 10 * time.Second
	readTime     = time.Minute
	answerTime   = 10 * time.Minute
	idleTime     = 2 * time.Minute
	shutdownTime = 30 * time.Second
)

// listen answers until ctx is done, and then what it has.
func (a *app) listen(ctx context.Context, listener net.Listener, server *serve.Server, runners []*pipeline.Runner, info backend.DeviceInfo) error {
	h := &http.Server{
		Handler: server, ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: answerTime, IdleTimeout: idleTime, MaxHeaderBytes: 1 << 16,
		ErrorLog: slog.NewLogLogger(slog.NewTextHandler(a.stderr, nil), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(listener) }()
	end := func(err error) error { // also the errors of the end, but for the one that says that it was asked for
		err = errors.Join(err, h.Close())
		if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	}
	if _, err := fmt.Fprintf(a.stdout, "http://%s\n", listener.Addr()); err != nil {
		return end(err)
	}
	a.note("answering on http://%s with %s: %s; Ctrl-C ends it", listener.Addr(), info.Backend, info.Name)
	for _, r := range runners {
		if err := r.Warm(ctx); err != nil && ctx.Err() == nil {
			return end(err)
		}
	}
	server.SetReady(true)
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	server.SetReady(false)
	a.note("ending: requests that are under way are answered")
	// The context that ends it is over, and the requests have their own.
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if err := h.Shutdown(limited); errors.Is(err, context.DeadlineExceeded) {
		a.note("some requests were not over after %v, and are cut off", shutdownTime)
	} else if err != nil {
		return end(err)
	}
	return end(nil)
}

// urlName is what a model is called in URLs: its name, or that of its file.
func urlName(m *model.Model) string {
	name := m.Name
	if m.Weights == m.Name || filepath.ToSlash(m.Weights) == m.Name {
		base := filepath.Base(m.Weights)
		name = strings.TrimSuffix(base, filepath.Ext(base))
	}
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '_'
	}, name)
}
