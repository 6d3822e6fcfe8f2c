package host

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"github.com/resnet-run/resnet-run/backend"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/emptypb"
)

// process is a running plugin that has said who it is.
type process struct {
	plugin     Plugin
	o          Options
	log        *slog.Logger
	child      *child
	inTime     func() bool // the process has started: end the watch over that
	conn       *grpc.ClientConn
	client     pb.BackendClient
	regions    *regions
	executes   bool   // the plugin has Execute
	version    string // as the plugin says
	endSession context.CancelFunc
	began      time.Time

	ids    atomic.Uint64
	probes sync.WaitGroup // calls in the background

	mu     sync.Mutex
	cause  error // why it was ended; nil when it ended by itself, or lives
	ending bool
	asked  bool // it was ended because the host is done with it

	ended chan struct{} // closed when the process is gone and what it held is released
}

// launch verifies a plugin and starts it.
//
// Errors: why it must not be started (see [ErrNotTrusted]), or could not be; the latter are [backend.ErrPluginExited].
func launch(ctx context.Context, p Plugin, pin Pin, o Options) (*process, error) {
	files, err := verify(p, pin)
	if err != nil {
		return nil, explain(p.Name, err)
	}
	defer files.close()
	proc := &process{plugin: p, o: o, log: o.Logger.With("plugin", p.Name), began: time.Now(), ended: make(chan struct{})}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Limits.Start, fmt.Errorf("it did not get ready within %v", o.Limits.Start))
	defer cancel()
	if err := proc.start(ctx, files, pin); err != nil {
		return nil, err
	}
	if err := proc.greet(ctx); err != nil {
		if ctx.Err() != nil && !proc.isEnding() {
			err = context.Cause(ctx)
		}
		proc.end(err)
		<-proc.ended
		return nil, proc.exited(ctx)
	}
	return proc, nil
}

// start starts the process and connects to it.
func (p *process) start(ctx context.Context, files *verified, pin Pin) error {
	config, err := p.config(ctx, files, pin)
	if err != nil {
		return explain(p.plugin.Name, err)
	}
	client := goplugin.NewClient(config)
	addr, err := client.Start()
	if p.child == nil { // it came to no process
		return explain(p.plugin.Name, fmt.Errorf("start: %w", err))
	}
	p.inTime()
	if err == nil {
		if err = files.recheck(); err == nil {
			err = p.connect(addr, config.TLSConfig)
		}
	}
	if err == nil {
		go p.cleanUp()
		return nil
	}
	p.child.kill()
	<-p.child.ended
	close(p.ended)
	switch {
	case errors.Is(err, ErrChanged):
		return explain(p.plugin.Name, err)
	case ctx.Err() != nil:
		return fmt.Errorf("plugin %q: %w: %w%s", p.plugin.Name, backend.ErrPluginExited, context.Cause(ctx), p.child.wordsAfter())
	case p.child.wasKilled():
		return fmt.Errorf("plugin %q: %w: %w%s", p.plugin.Name, backend.ErrPluginExited, err, p.child.wordsAfter())
	}
	return fmt.Errorf("plugin %q: %w: %s", p.plugin.Name, backend.ErrPluginExited, p.child.howItEnded())
}

// config says to go-plugin what to start and how. Certificates are ours: see newCertificate.
func (p *process) config(ctx context.Context, files *verified, pin Pin) (*goplugin.ClientConfig, error) {
	cert, pem, err := newCertificate()
	if err != nil {
		return nil, err
	}
	base, err := socketFolder(p.o)
	if err != nil {
		return nil, err
	}
	sets := map[int]goplugin.PluginSet{}
	for _, v := range protocolVersions {
		sets[v] = goplugin.PluginSet{}
	}
	return &goplugin.ClientConfig{
		HandshakeConfig:  goplugin.HandshakeConfig{ProtocolVersion: wire.ProtocolVersion, MagicCookieKey: wire.CookieKey, MagicCookieValue: wire.CookieValue},
		VersionedPlugins: sets,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
		SkipHostEnv:      true,
		StartTimeout:     p.o.Limits.Start + grace, // the context is first
		TLSConfig:        &tls.Config{Certificates: []tls.Certificate{cert}, ServerName: "localhost", MinVersion: tls.VersionTLS12},
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: base},
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, dir string) (runner.Runner, error) {
			unlock, err := lockFolder(dir)
			if err != nil {
				return nil, err
			}
			cmd := exec.Command(executablePath(files.program))
			cmd.Args = append([]string{pin.Program}, p.plugin.Manifest.Command[1:]...)
			cmd.Dir = p.plugin.Dir()
			cmd.Env = append(environment(os.Environ(), p.plugin.Manifest.Environment), spec.Env...)
			cmd.Env = append(cmd.Env, "PLUGIN_CLIENT_CERT="+pem)
			p.child = newChild(cmd, &pluginLog{to: p.log}, dir, unlock)
			p.inTime = context.AfterFunc(ctx, p.child.kill)
			return p.child, nil
		},
	}, nil
}

// connect makes the one connection; nothing is sent yet.
func (p *process) connect(addr net.Addr, config *tls.Config) error {
	if err := confine(p.child.processID(), p.o.Limits.Memory); err != nil {
		p.log.Warn("a limit could not be set", "error", err)
	}
	var dialled atomic.Bool
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		if dialled.Swap(true) { // it would be another process's session
			return nil, errors.New("the connection is gone")
		}
		var d net.Dialer
		return d.DialContext(ctx, addr.Network(), addr.String())
	}
	conn, err := grpc.NewClient("passthrough:///plugin", grpc.WithContextDialer(dial), grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(newCodec(p.violated)), grpc.MaxCallRecvMsgSize(wire.MaxMessageBytes)),
		grpc.WithMaxHeaderListSize(64<<10), grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(), grpc.WithNoProxy(),
		grpc.WithReadBufferSize(128<<10), grpc.WithWriteBufferSize(128<<10), grpc.WithStaticStreamWindowSize(4<<20), grpc.WithStaticConnWindowSize(16<<20))
	if err != nil {
		return err
	}
	p.conn, p.client = conn, pb.NewBackendClient(conn)
	p.regions = newRegions(p)
	return nil
}

// greet exchanges Describe, opens the session and begins to watch.
func (p *process) greet(ctx context.Context) error {
	d, err := p.client.Describe(ctx, &pb.DescribeRequest{HostName: "resnet-run", HostVersion: p.o.Version, Capabilities: &pb.HostCapabilities{SharedMemory: !p.o.NoSharedMemory}})
	if err != nil {
		settle(ctx, err)
		return fmt.Errorf("describe: %w", wire.DecodeError(err))
	}
	if d.GetName() != p.plugin.Name {
		return fmt.Errorf("describe: want the name %q of the manifest, got %.80q", p.plugin.Name, d.GetName())
	}
	if err := checkText(d.GetVersion(), 256); err != nil {
		return fmt.Errorf("describe: version: %w", err)
	}
	p.version = d.GetVersion()
	p.executes = d.GetCapabilities().GetExecute() && !p.o.noExecute
	p.regions.offered = !p.o.NoSharedMemory && d.GetCapabilities().GetSharedMemory()
	open, end := context.WithCancel(context.Background())
	p.endSession = end
	session, err := p.client.Session(open, &pb.SessionRequest{})
	if err != nil {
		return fmt.Errorf("session: %w", wire.DecodeError(err))
	}
	first := make(chan error, 1)
	go p.follow(session, first)
	select {
	case err := <-first:
		if err != nil {
			return fmt.Errorf("session: %w", wire.DecodeError(err))
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	go p.watch()
	p.log.Debug("plugin started", "version", p.version, "pid", p.child.processID(), "seconds", time.Since(p.began).Seconds())
	return nil
}

// follow waits for the end of the session, which is the end of the plugin.
func (p *process) follow(session grpc.ServerStreamingClient[pb.SessionEvent], first chan<- error) {
	_, err := session.Recv()
	first <- err
	for err == nil {
		_, err = session.Recv()
	}
	if !p.isEnding() {
		select { // a process that is just ending says better why
		case <-p.child.ended:
		case <-time.After(grace):
			p.end(errors.New("it ended the session without ending itself"))
		}
	}
}

// end ends the process because of cause, unless that has begun already.
func (p *process) end(cause error) {
	p.mu.Lock()
	if !p.ending {
		p.ending, p.cause = true, cause
	}
	p.mu.Unlock()
	p.child.kill()
}

// violated ends the process because it broke the protocol.
func (p *process) violated(err error) { p.end(fmt.Errorf("it broke the protocol: %w", err)) }

// quit asks the process to end, kills it when it does not, and waits until everything is released.
func (p *process) quit() {
	p.mu.Lock()
	first := !p.ending
	p.ending, p.asked = true, p.asked || first
	p.mu.Unlock()
	if first {
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		// An error is no matter: the server may stop before it has answered, or know no Shutdown, and then ends with the session.
		_ = p.conn.Invoke(ctx, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
		p.endSession()
		select {
		case <-p.child.ended:
		case <-ctx.Done():
		}
	}
	p.child.kill()
	select {
	case <-p.ended:
	case <-time.After(2 * grace): // the kernel does not let go of it; it dies with us
		p.log.Warn("the plugin does not end", "pid", p.child.processID())
	}
}

func (p *process) isEnding() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ending
}

// cleanUp releases everything when the process is gone.
func (p *process) cleanUp() {
	<-p.child.ended
	p.mu.Lock()
	p.ending = true
	asked := p.asked
	p.mu.Unlock()
	_ = p.conn.Close() // ends the calls in flight
	p.probes.Wait()
	p.regions.close()
	if !asked {
		p.log.Info("plugin exited", "reason", p.reason()) // whoever uses it is told by an error
	}
	close(p.ended)
}

// reason is why the process is gone; it is asked when the child has ended.
func (p *process) reason() string {
	p.mu.Lock()
	cause := p.cause
	p.mu.Unlock()
	if cause != nil {
		return "it was ended by the host: " + cause.Error() + p.child.wordsAfter()
	}
	return p.child.howItEnded()
}

// exited is the error of calls to a process that is gone or going.
func (p *process) exited(ctx context.Context) error {
	select {
	case <-p.child.ended:
		return fmt.Errorf("plugin %q: %w: %s", p.plugin.Name, backend.ErrPluginExited, p.reason())
	case <-ctx.Done():
	case <-time.After(2 * grace): // a process that cannot be killed
	}
	return fmt.Errorf("plugin %q: %w: it is being ended", p.plugin.Name, backend.ErrPluginExited)
}

// socketFolder is the folder in which each process gets one for its socket, made if need be. What a host left there
// that was killed is removed.
func socketFolder(o Options) (string, error) {
	parent := o.TempDir
	if parent == "" {
		parent = o.Getenv("XDG_RUNTIME_DIR")
	}
	if info, err := os.Stat(parent); parent == "" || err != nil || !info.IsDir() {
		parent = os.TempDir()
	}
	dir := filepath.Join(parent, fmt.Sprintf("resnet-run-%d", os.Getuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("make folder for sockets: %w", err)
	}
	info, err := os.Lstat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("want a folder, got mode %v", info.Mode())
	}
	if err == nil {
		err = onlyOurs(info)
	}
	if err != nil {
		return "", fmt.Errorf("folder for sockets %s: %w", dir, err)
	}
	sweep(dir)
	return dir, nil
}

// sweep removes the folders of processes whose host is gone: those that nobody has locked.
func sweep(dir string) {
	stale, _ := filepath.Glob(filepath.Join(dir, "plugin-dir*")) // the pattern is right
	for _, s := range stale {
		info, err := os.Stat(s)
		if err != nil || time.Since(info.ModTime()) < time.Minute { // it may not have been locked yet
			continue
		}
		if unlock, err := tryLockFolder(s); err == nil {
			_ = os.RemoveAll(s) // the next host tries again
			unlock()
		}
	}
}
