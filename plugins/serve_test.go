package plugins

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend/reference"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/emptypb"
)

// asPlugin in the environment makes the test program a plugin.
const asPlugin = "RESNET_RUN_TEST_AS_PLUGIN"

func TestMain(m *testing.M) {
	switch os.Getenv(asPlugin) {
	case "reference":
		slog.Info("too early for the log") // Serve has not set it up
		Serve(reference.New())
		return
	case "chatty": // as backends that print
		Serve(&fake{run: func(context.Context) error {
			fmt.Println("[WARN] printed")
			fmt.Fprintln(os.Stderr, strings.Repeat("x", 1<<20))
			slog.Warn("logged", "lanes", 4)
			return nil
		}})
		return
	case "stuck":
		Serve(&fake{closes: make(chan string)})
		return
	}
	slog.SetDefault(slog.New(slog.DiscardHandler)) // panics of the tests' backends, with their stacks
	os.Exit(m.Run())
}

// process is this program as a plugin.
type process struct {
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr *bytes.Buffer // to be read after the end
	ended  chan error
}

func start(t *testing.T, kind string, env ...string) *process {
	t.Helper()
	self, err := os.Executable()
	noErrors(t, err)
	p := &process{cmd: exec.CommandContext(t.Context(), self), stderr: &bytes.Buffer{}, ended: make(chan error, 1)}
	p.cmd.Env = append([]string{asPlugin + "=" + kind, "PATH=" + os.Getenv("PATH")}, env...)
	p.cmd.Stderr = p.stderr
	p.cmd.WaitDelay = patience
	out, in, err := os.Pipe()
	noErrors(t, err)
	p.cmd.Stdout, p.stdout = in, bufio.NewReader(out)
	noErrors(t, p.cmd.Start(), in.Close())
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // where the test has not seen it end
		if err := out.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// wait returns the exit status and what was written to standard error.
func (p *process) wait(t *testing.T) (int, string) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatal("the plugin does not end")
	}
	return p.cmd.ProcessState.ExitCode(), p.stderr.String()
}

// host is what a host brings: a certificate as it makes them.
func hostCertificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	noErrors(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true, IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	noErrors(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// network is what plugins listen on: sockets in the file system where there are such.
var network = map[bool]string{false: "unix", true: "tcp"}[runtime.GOOS == "windows"]

// dial starts the program as a host does, and connects with a certificate.
func dial(t *testing.T, kind string) (*process, *grpc.ClientConn) {
	t.Helper()
	cert, text := hostCertificate(t)
	sockets := t.TempDir()
	if len(sockets) > 80 { // a socket's path has at most 107 bytes
		sockets = os.TempDir()
	}
	p := start(t, kind, wire.CookieKey+"="+wire.CookieValue, "PLUGIN_PROTOCOL_VERSIONS=1,2", "PLUGIN_CLIENT_CERT="+text, "PLUGIN_UNIX_SOCKET_DIR="+sockets)
	line, err := p.stdout.ReadString('\n')
	noErrors(t, err)
	parts := strings.Split(strings.TrimSuffix(line, "\n"), "|")
	if len(parts) != 6 || parts[0] != "1" || parts[1] != "1" || parts[2] != network || parts[4] != "grpc" {
		t.Fatalf("handshake: got %q", line)
	}
	der, err := base64.RawStdEncoding.DecodeString(parts[5])
	noErrors(t, err)
	server, err := x509.ParseCertificate(der)
	noErrors(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(server)
	address := map[string]string{"unix": "unix:", "tcp": ""}[network] + parts[3]
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(
		&tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12})))
	noErrors(t, err)
	t.Cleanup(func() { _ = conn.Close() }) // some tests close it themselves
	t.Cleanup(func() {
		if _, err := os.Lstat(parts[3]); err == nil && p.cmd.ProcessState != nil && p.cmd.ProcessState.Success() {
			t.Errorf("the socket %s is left", filepath.Base(parts[3]))
		}
	})
	return p, conn
}

func begin(t *testing.T, c pb.BackendClient) {
	t.Helper()
	stream, err := c.Session(t.Context(), &pb.SessionRequest{})
	noErrors(t, err)
	_, err = stream.Recv()
	noErrors(t, err)
}

func TestAPluginServesItsHostAndEndsWithIt(t *testing.T) {
	p, conn := dial(t, "reference")
	c := pb.NewBackendClient(conn)
	begin(t, c)
	healthy, err := grpc_health_v1.NewHealthClient(conn).Check(limited(t), &grpc_health_v1.HealthCheckRequest{Service: "plugin"})
	if err != nil || healthy.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health: got %v, %v", healthy, err)
	}
	if d, err := c.Describe(limited(t), &pb.DescribeRequest{}); err != nil || d.Name != "reference" {
		t.Errorf("got %v, %v", d, err)
	}
	noErrors(t, open(limited(t), c, 1, "cpu"), conn.Close()) // as when the host is killed: the kernel closes its connections
	if status, text := p.wait(t); status != 0 {
		t.Errorf("got status %d and %q, want 0", status, text)
	}
}

func TestTheHostShutsAPluginDown(t *testing.T) {
	p, conn := dial(t, "reference")
	begin(t, pb.NewBackendClient(conn))
	if err := conn.Invoke(limited(t), shutdown, &emptypb.Empty{}, &emptypb.Empty{}); err != nil {
		t.Errorf("the answer: %v", err)
	}
	if status, text := p.wait(t); status != 0 {
		t.Errorf("got status %d and %q, want 0", status, text)
	}
}

func TestAnotherCertificateIsRefused(t *testing.T) {
	_, conn := dial(t, "reference")
	target := conn.Target()
	other, _ := hostCertificate(t)
	stranger, err := grpc.NewClient(target, grpc.WithTransportCredentials(credentials.NewTLS(
		&tls.Config{Certificates: []tls.Certificate{other}, InsecureSkipVerify: true})))
	noErrors(t, err)
	defer func() { _ = stranger.Close() }() // nothing was sent
	if _, err := pb.NewBackendClient(stranger).Describe(limited(t), &pb.DescribeRequest{}); err == nil {
		t.Error("a stranger was answered")
	}
	begin(t, pb.NewBackendClient(conn)) // while the host is
}

func TestWhatABackendPrintsIsLog(t *testing.T) {
	p, conn := dial(t, "chatty")
	c := pb.NewBackendClient(conn)
	begin(t, c)
	ctx := limited(t)
	noErrors(t, open(ctx, c, 1, "one"))
	if _, err := compileGraph(ctx, c, 1, 2, relu(t, 2)); err != nil {
		t.Fatal(err)
	}
	noErrors(t, run(ctx, c, 2, nil, nil), conn.Close()) // 1 MiB was printed, and nobody read it
	_, text := p.wait(t)
	var entry map[string]any
	for line := range strings.Lines(text) {
		if strings.Contains(line, "logged") {
			noErrors(t, json.Unmarshal([]byte(line), &entry))
		}
	}
	stamp, _ := entry["@timestamp"].(string)
	if _, err := time.Parse("2006-01-02T15:04:05.000000Z07:00", stamp); err != nil || entry["@level"] != "warn" || entry["@message"] != "logged" || entry["lanes"] != 4.0 {
		t.Errorf("got %v, %v, want the logged line", entry, err)
	}
	if !strings.Contains(text, "\n[WARN] printed\n") && !strings.HasPrefix(text, "[WARN] printed\n") || !strings.Contains(text, "xxxx") {
		t.Errorf("got %.300q, want what was printed", text)
	}
	if rest, err := io.ReadAll(p.stdout); err != nil || len(rest) > 0 {
		t.Errorf("on standard output after the handshake: %q, %v", rest, err)
	}
}

func TestAStuckBackendDoesNotKeepThePluginAlive(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the five seconds of patience that Serve has")
	}
	p, conn := dial(t, "stuck")
	c := pb.NewBackendClient(conn)
	begin(t, c)
	noErrors(t, open(limited(t), c, 1, "one"), conn.Close())
	if status, text := p.wait(t); status != 1 || !strings.Contains(text, "has not closed everything in time") {
		t.Errorf("got status %d and %q, want 1 and the reason", status, text)
	}
}

func TestStartedByHandAPluginSaysWhatItIs(t *testing.T) {
	for what, c := range map[string]struct {
		env  []string
		want string
	}{
		"no host":        {nil, `This is the backend "reference"`},
		"another cookie": {[]string{wire.CookieKey + "=x"}, "resnet-run plugins trust reference"},
		"a later host":   {[]string{wire.CookieKey + "=" + wire.CookieValue, "PLUGIN_PROTOCOL_VERSIONS=2,3"}, "speaks version 1 of the plugin protocol, the host only 2,3"},
	} {
		p := start(t, "reference", c.env...)
		if line, err := p.stdout.ReadString('\n'); !errors.Is(err, io.EOF) {
			t.Errorf("%s: got %q on standard output, %v", what, line, err)
		}
		if status, text := p.wait(t); status != 1 || !strings.Contains(text, c.want) {
			t.Errorf("%s: got status %d and %q, want 1 and %q", what, status, text, c.want)
		}
	}
}

func TestLogLines(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(newLog(&out))
	for level, want := range map[slog.Level]string{-8: "trace", slog.LevelDebug: "debug", slog.LevelInfo: "info", slog.LevelWarn: "warn", slog.LevelError: "error", 12: "error"} {
		out.Reset()
		log.Log(t.Context(), level, "said", "why", strings.Repeat("ä", maxText), slog.Group("g", "level", 3))
		var entry map[string]any
		noErrors(t, json.Unmarshal(out.Bytes(), &entry))
		why, _ := entry["why"].(string)
		if entry["@level"] != want || entry["@message"] != "said" || len(why) > maxText || !strings.HasSuffix(why, "ä...") {
			t.Errorf("level %v: got %.200s", level, out.String())
		}
	}
}
