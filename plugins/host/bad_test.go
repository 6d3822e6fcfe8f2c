//go:build unix

package host

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/plugins"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// bad is a plugin that misbehaves in the way of its mode.
func bad(mode string) {
	switch mode {
	case "not-a-plugin":
		fmt.Println("hello, world")
	case "silent-end":
	case "dies":
		fmt.Fprintln(os.Stderr, "no licence for this accelerator")
		os.Exit(3)
	case "sleeps":
		time.Sleep(time.Hour)
	case "wrong-version":
		fmt.Println("1|7|unix|/tmp/none|grpc|" + strings.Repeat("A", 60))
		time.Sleep(time.Hour)
	case "no-certificate":
		fmt.Println("1|1|unix|/tmp/none|grpc|")
		time.Sleep(time.Hour)
	case "bad-certificate":
		fmt.Println("1|1|unix|/tmp/none|grpc|" + strings.Repeat("A", 60))
		time.Sleep(time.Hour)
	case "nobody-listens":
		cert, _, err := newCertificate()
		if err != nil {
			panic(err)
		}
		fmt.Printf("1|1|unix|%s/none|grpc|%s\n", os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), base64.RawStdEncoding.EncodeToString(cert.Certificate[0]))
		time.Sleep(time.Hour)
	case "abroad":
		fmt.Println("1|1|tcp|192.0.2.1:80|grpc|" + strings.Repeat("A", 60))
		time.Sleep(time.Hour)
	case "long-line":
		fmt.Println(strings.Repeat("x", 1<<20))
		time.Sleep(time.Hour)
	case "garbage":
		garbage()
	case "garbage-message", "wrong-name", "wrong-signature", "short-read", "long-read", "short-answer", "long-answer", "twin-devices", "huge-message", "leaves-session":
		raw(mode)
	default:
		plugins.Serve(&misbehaving{mode})
	}
}

// garbage makes a handshake and answers with noise.
func garbage() {
	l, err := net.Listen("unix", filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "s"))
	if err != nil {
		panic(err)
	}
	cert, _, err := newCertificate()
	if err != nil {
		panic(err)
	}
	fmt.Printf("1|1|unix|%s|grpc|%s\n", l.Addr(), base64.RawStdEncoding.EncodeToString(cert.Certificate[0]))
	noise := make([]byte, 1<<16)
	for {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		_, _ = rand.Read(noise)
		_, _ = c.Write(noise) // the host hangs up at some byte
		time.Sleep(time.Hour)
	}
}

// forThreeRows, behind a mode, makes it one of executables whose first input has three rows.
const forThreeRows = "-for-3-rows"

// misbehaving is the reference backend but for what its mode says.
type misbehaving struct{ mode string }

func (b *misbehaving) Name() string { return "bad" }

func (b *misbehaving) Devices(ctx context.Context) ([]backend.DeviceInfo, error) {
	switch b.mode {
	case "hangs-in-list":
		select {}
	case "no-device":
		return nil, fmt.Errorf("%w: no accelerator in any slot: plug one in", backend.ErrNoDevice)
	case "talks":
		fmt.Fprintln(os.Stderr, `{"@message":1,"@level":"error"}`)
		fmt.Fprintln(os.Stderr, `{"@level":"warn","@message":"warm","degrees":80,"nested":{"a":[1]},"@timestamp":"2026-01-02T03:04:05.000006Z"}`)
		fmt.Fprintln(os.Stderr, "[INFO] plain")
		fmt.Fprintln(os.Stderr, "[ERROR] "+strings.Repeat("long ", 1<<16))
		fmt.Fprintln(os.Stderr, "nothing special \x1b[31m")
		fmt.Fprintln(os.Stderr, "the last line")
	}
	list, err := reference.New().Devices(ctx)
	for i := range list {
		list[i].Backend = "bad"
	}
	return list, err
}

func (b *misbehaving) Open(ctx context.Context, id string) (backend.Device, error) {
	d, err := reference.New().Open(ctx, id)
	if err != nil {
		return nil, err
	}
	return &misdevice{d, b.mode}, nil
}

type misdevice struct {
	backend.Device
	mode string
}

func (d *misdevice) Info() backend.DeviceInfo {
	i := d.Device.Info()
	i.Backend = "bad"
	return i
}

func (d *misdevice) Supports(n *graph.Node) error {
	if d.mode == "hangs-in-supports" {
		select {}
	}
	return d.Device.Supports(n)
}

func (d *misdevice) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	if d.mode == "hangs-in-compile" {
		select {}
	}
	e, err := d.Device.Compile(ctx, g)
	if err != nil {
		return nil, err
	}
	mode, some := strings.CutSuffix(d.mode, forThreeRows)
	if some && g.Inputs[0].Type.Shape.Dim(0) != 3 {
		mode = ""
	}
	return &misexecutable{Executable: e, mode: mode}, nil
}

type misexecutable struct {
	backend.Executable
	mode string
	runs int // so far
}

func (e *misexecutable) Run(ctx context.Context, in, out []backend.Buffer) error {
	switch e.mode {
	case "panics":
		go func() { panic("assertion failed: the accelerator is on fire") }()
		select {}
	case "hangs":
		select {}
	case "stops":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		select {}
	case "eats":
		var all [][]byte
		for {
			time.Sleep(10 * time.Millisecond) // the watch shall come first, not the limit of the system
			b := make([]byte, 4<<20)
			for i := range b {
				b[i] = 1
			}
			all = append(all, b)
			if len(all) > 4096 {
				return errors.New("nobody stopped me")
			}
		}
	case "waits": // for the context, as it should
		<-ctx.Done()
		return ctx.Err()
	case "waits-twice":
		if e.runs++; e.runs <= 2 {
			<-ctx.Done()
			return ctx.Err()
		}
	case "fails-once":
		if e.runs++; e.runs == 1 {
			return backend.ErrOutOfMemory
		}
	case "exits":
		os.Exit(7)
	case "is-lost":
		return fmt.Errorf("fan: %w", backend.ErrDeviceLost)
	}
	return e.Executable.Run(ctx, in, out)
}

// raw serves the protocol without the SDK, which would not let it be broken.
func raw(mode string) {
	s := &rawServer{mode: mode}
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  goplugin.HandshakeConfig{MagicCookieKey: wire.CookieKey, MagicCookieValue: wire.CookieValue},
		VersionedPlugins: map[int]goplugin.PluginSet{1: {wire.PluginName: rawPlugin{server: s}}},
		GRPCServer: func(o []grpc.ServerOption) *grpc.Server {
			if mode == "garbage-message" {
				o = append(o, grpc.ForceServerCodecV2(garbler{encoding.GetCodecV2(proto.Name)}))
			}
			return grpc.NewServer(o...)
		},
		Logger: hclog.NewNullLogger(),
	})
}

// garbler encodes lists of devices as noise.
type garbler struct{ encoding.CodecV2 }

func (g garbler) Marshal(v any) (mem.BufferSlice, error) {
	if _, ok := v.(*pb.ListDevicesResponse); ok {
		return mem.BufferSlice{mem.SliceBuffer("\xff\xff\xff\xff\xff")}, nil
	}
	return g.CodecV2.Marshal(v)
}

type rawPlugin struct {
	goplugin.NetRPCUnsupportedPlugin
	server *rawServer
}

func (p rawPlugin) GRPCServer(_ *goplugin.GRPCBroker, g *grpc.Server) error {
	pb.RegisterBackendServer(g, p.server)
	return nil
}

func (p rawPlugin) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("not here")
}

type rawServer struct {
	pb.UnimplementedBackendServer
	mode string
}

func (s *rawServer) Describe(context.Context, *pb.DescribeRequest) (*pb.DescribeResponse, error) {
	name := "bad"
	if s.mode == "wrong-name" {
		name = "vulkan"
	}
	executes := s.mode == "short-answer" || s.mode == "long-answer"
	return &pb.DescribeResponse{Name: name, Version: "0", Capabilities: &pb.PluginCapabilities{Execute: executes}}, nil
}

func (s *rawServer) Session(_ *pb.SessionRequest, stream grpc.ServerStreamingServer[pb.SessionEvent]) error {
	if err := stream.Send(&pb.SessionEvent{}); err != nil {
		return err
	}
	if s.mode == "leaves-session" {
		return nil
	}
	<-stream.Context().Done()
	os.Exit(0)
	return nil
}

func (s *rawServer) ListDevices(context.Context, *pb.ListDevicesRequest) (*pb.ListDevicesResponse, error) {
	d := &pb.DeviceInfo{Backend: "bad", Id: "0", Name: "bad", Type: pb.DeviceType_DEVICE_TYPE_OTHER}
	if s.mode == "huge-message" {
		d.Name = strings.Repeat("x", wire.MaxMessageBytes+1)
	}
	r := &pb.ListDevicesResponse{Devices: []*pb.DeviceInfo{d}}
	if s.mode == "twin-devices" {
		r.Devices = append(r.Devices, d)
	}
	return r, nil
}

func (s *rawServer) OpenDevice(context.Context, *pb.OpenDeviceRequest) (*pb.OpenDeviceResponse, error) {
	return &pb.OpenDeviceResponse{Info: &pb.DeviceInfo{Backend: "bad", Id: "0", Name: "bad", Type: pb.DeviceType_DEVICE_TYPE_OTHER}}, nil
}

func (s *rawServer) Compile(stream grpc.ClientStreamingServer[pb.CompileRequest, pb.CompileResponse]) error {
	for {
		if _, err := stream.Recv(); err != nil {
			break
		}
	}
	v := &pb.Value{Name: "y", Type: &pb.TensorType{Dtype: pb.DType_DTYPE_FLOAT32, Shape: []int64{1, 8}}}
	return stream.SendAndClose(&pb.CompileResponse{Inputs: []*pb.Value{v}, Outputs: []*pb.Value{v}})
}

func (s *rawServer) CreateBuffer(context.Context, *pb.CreateBufferRequest) (*pb.CreateBufferResponse, error) {
	return &pb.CreateBufferResponse{}, nil
}

func (s *rawServer) ReadBuffer(_ *pb.ReadBufferRequest, stream grpc.ServerStreamingServer[pb.ReadBufferResponse]) error {
	n := 15
	if s.mode == "long-read" {
		n = 17
	}
	return stream.Send(&pb.ReadBufferResponse{Chunk: make([]byte, n)})
}

func (s *rawServer) Execute(context.Context, *pb.ExecuteRequest) (*pb.ExecuteResponse, error) {
	r := &pb.ExecuteResponse{Data: [][]byte{make([]byte, 15)}}
	if s.mode == "long-answer" {
		r.Data = [][]byte{make([]byte, 16), make([]byte, 1)}
	}
	return r, nil
}

func (s *rawServer) Close(context.Context, *pb.CloseRequest) (*pb.CloseResponse, error) {
	return &pb.CloseResponse{}, nil
}

// actAsHost starts the plugin in the folder that is its third argument, says so, and waits to be killed.
func actAsHost() {
	dir := os.Args[3]
	all, err := Find([]string{dir})
	if err != nil || len(all) != 1 {
		panic(fmt.Sprint(all, err))
	}
	b := New(all[0], Options{LockPath: filepath.Join(dir, "settings", "plugins.lock"), TempDir: os.Args[4], Limits: patient})
	list, err := b.Devices(context.Background())
	if err != nil {
		panic(err)
	}
	if _, err := b.Open(context.Background(), list[0].ID); err != nil {
		panic(err)
	}
	fmt.Println(b.now.child.processID())
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // until it is killed
	panic("nobody killed the host")
}
