// Package plugins makes a backend a plugin: a program of its own that resnet-run starts and talks to.
//
//	func main() { plugins.Serve(mybackend.New()) }
//
// That is a whole plugin, for any [backend.Backend]. docs/write-a-backend.md leads from nothing to one that passes the
// conformance suite; plugins/examples/go-naive is one to copy. The protocol behind it is in docs/plugin-protocol.md,
// for those who write plugins in other languages.
//
// # What it does
//
// It speaks the protocol: handshake, mutual TLS, ids, cancelled calls, turns of buffers, tensors through shared memory
// or in chunks, errors that errors.Is finds on the other side. It ends the process when the host is gone, whatever the
// backend is doing then. Package slog's default logger writes to the host's log.
//
// # What it asks of a backend
//
// Nothing beyond package backend. A backend should look at the context between the nodes of a run, since that is how a
// host that gave up is noticed. A panic in a call becomes that call's error, with the stack in the log; one in a
// goroutine of the backend's own ends the plugin, and nothing else.
//
// # What it does not do
//
// It judges no numbers: that is package conformance.
package plugins

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/resnet-run/resnet-run/backend"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
	"google.golang.org/grpc"
)

// The pace of the end.
const (
	sessionWait = time.Minute     // for a host to begin its session
	answerWait  = time.Second     // for calls under way, when the host asks for the end
	closeWait   = 5 * time.Second // for the backend to close what is open
)

// Serve makes this program a plugin that offers b, and returns when the host is gone and everything is closed. It is
// to be the last call of main.
//
// Started by hand, by a host that speaks none of its versions, or with a backend whose name is none that can be
// selected, the program says so on standard error and exits with status 1; so it does when the backend does not close within five seconds of the end of its host. While it serves,
// os.Stdout and os.Stderr both lead to the host's log.
func Serve(b backend.Backend) {
	version := buildVersion()
	if err := wire.CheckName(b.Name()); err != nil {
		exit("resnet-run plugin: %v", err)
	}
	if os.Getenv(wire.CookieKey) != wire.CookieValue {
		exit("%s", byHand(b.Name(), version))
	}
	if v := os.Getenv("PLUGIN_PROTOCOL_VERSIONS"); !speaks(v) {
		exit("resnet-run plugin %s %s speaks version %d of the plugin protocol, the host only %s: update the older of the two", b.Name(), version, wire.ProtocolVersion, v)
	}
	stderr := os.Stderr
	slog.SetDefault(slog.New(newLog(stderr)))
	s := newService(b, version)
	s.onSession = func() {
		// go-plugin has put pipes here that nobody need ever read. What the backend prints belongs in the log, and must
		// not make it wait.
		os.Stdout, os.Stderr = stderr, stderr
	}
	if !serve(s, stderr) {
		os.Exit(1) // the reason is in the log
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	if err := s.objects.closeAll(ctx); err != nil {
		slog.Warn("the backend has not closed everything in time", "limit", closeWait)
		os.Exit(1)
	}
}

// serve runs the server until the session ends, or the host stops it; false when it could not begin.
func serve(s *service, stderr io.Writer) bool {
	var server atomic.Pointer[grpc.Server]
	go func() {
		s.await(sessionWait)
		if g := server.Load(); g != nil {
			stop(g, s.asked)
		}
	}()
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  goplugin.HandshakeConfig{MagicCookieKey: wire.CookieKey, MagicCookieValue: wire.CookieValue},
		VersionedPlugins: map[int]goplugin.PluginSet{wire.ProtocolVersion: {wire.PluginName: &registration{service: s}}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			g := grpc.NewServer(append(opts, s.options()...)...)
			server.Store(g)
			return g
		},
		Logger: hclog.New(&hclog.LoggerOptions{Name: "go-plugin", Level: hclog.Warn, Output: stderr, JSONFormat: true}),
	})
	return server.Load() != nil
}

// stop stops the server: when the host has asked for it, after the calls that are under way, that one among them.
func stop(g *grpc.Server, asked <-chan struct{}) {
	select {
	case <-asked:
		late := time.AfterFunc(answerWait, g.Stop)
		defer late.Stop()
		g.GracefulStop()
	default:
		g.Stop()
	}
}

// await returns when the session has ended, when the host asks for the end, or when no session has begun in time.
func (s *service) await(limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.ended:
		return
	case <-s.asked:
		return
	case <-timer.C:
	}
	if s.inSession.Load() {
		select {
		case <-s.ended:
		case <-s.asked:
		}
		return
	}
	slog.Warn("no host has begun a session: ending", "limit", limit)
}

// registration is what go-plugin wants to have of a service.
type registration struct {
	goplugin.NetRPCUnsupportedPlugin
	service *service
}

func (r *registration) GRPCServer(_ *goplugin.GRPCBroker, g *grpc.Server) error {
	pb.RegisterBackendServer(g, r.service)
	return nil
}

// GRPCClient is the host's side, which package plugins/host has.
func (r *registration) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("plugin: this is the side that serves")
}

// speaks reports whether a list of versions has ours. Hosts that tell none are old ones that speak any.
func speaks(versions string) bool {
	return versions == "" || slices.ContainsFunc(strings.Split(versions, ","), func(v string) bool {
		n, err := strconv.Atoi(strings.TrimSpace(v))
		return err == nil && n == wire.ProtocolVersion
	})
}

func byHand(name, version string) string {
	return fmt.Sprintf(`This is the backend %q (version %s) for resnet-run: a plugin, which resnet-run starts and not its user.

To use it:

    resnet-run plugins trust %[1]s      once, and again after each change
    resnet-run plugins describe %[1]s   what it can do
    resnet-run classify --backend %[1]s photo.jpg

If resnet-run does not find it: 'resnet-run plugins doctor' says where it looks.`, name, version)
}

func exit(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, format+"\n", args...) // nothing to do when nobody listens
	os.Exit(1)
}

// buildVersion is what the Go tool wrote into the program.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
