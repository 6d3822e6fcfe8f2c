package plugins

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/plugins/internal/shm"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// service is a backend behind the protocol. Its methods return errors of package backend, which options translates.
type service struct {
	pb.UnimplementedBackendServer
	b       backend.Backend
	version string
	objects objects

	inSession atomic.Bool
	onSession func()        // called when the host has come
	ended     chan struct{} // closed when the host is gone
	asked     chan struct{} // closed when the host has asked the plugin to end
	askOnce   sync.Once
}

func newService(b backend.Backend, version string) *service {
	return &service{b: b, version: version, onSession: func() {}, ended: make(chan struct{}), asked: make(chan struct{})}
}

// shutdown is a call of go-plugin's own. Its server breaks the connection before the answer is out; see options.
const shutdown = "/plugin.GRPCController/Shutdown"

// options are those of the server that the service is registered with.
func (s *service) options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(wire.MaxMessageBytes),
		// Windows of a fixed size save the pings by which gRPC measures the connection after every message, and workers a
		// goroutine with a growing stack for each call: a fifth of the time of a small one.
		grpc.StaticStreamWindowSize(4 << 20), grpc.StaticConnWindowSize(16 << 20), grpc.NumStreamWorkers(4),
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (resp any, err error) {
			if info.FullMethod == shutdown {
				s.askOnce.Do(func() { close(s.asked) })
				return &emptypb.Empty{}, nil
			}
			err = guard(info.FullMethod, func() error {
				resp, err = handle(ctx, req)
				return err
			})
			return resp, wire.EncodeError(err)
		}),
		grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			return wire.EncodeError(guard(info.FullMethod, func() error { return handle(srv, stream) }))
		}),
	}
}

// guard makes a panic of the backend an error of this one call. The locks of this package are released on the way; a
// backend that leaves its own locked hangs, and is ended by the host.
func guard(what string, do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("panic in the backend", "call", what, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("%s: panic in the backend: %v", what, p)
		}
	}()
	return do()
}

func (s *service) Describe(_ context.Context, req *pb.DescribeRequest) (*pb.DescribeResponse, error) {
	slog.Debug("described", "host", req.GetHostName(), "version", req.GetHostVersion())
	return &pb.DescribeResponse{Name: s.b.Name(), Version: s.version,
		Capabilities: &pb.PluginCapabilities{SharedMemory: runtime.GOOS == "linux", Execute: true}}, nil
}

func (s *service) Session(_ *pb.SessionRequest, stream grpc.ServerStreamingServer[pb.SessionEvent]) error {
	if !s.inSession.CompareAndSwap(false, true) {
		return fmt.Errorf("session: %w: want one in the life of a plugin, got a second", wire.ErrInvalid)
	}
	defer close(s.ended)
	s.onSession()
	if err := stream.Send(&pb.SessionEvent{}); err != nil {
		return err
	}
	select {
	case <-stream.Context().Done():
		return stream.Context().Err()
	case <-s.asked:
		return nil
	}
}

func (s *service) ListDevices(ctx context.Context, _ *pb.ListDevicesRequest) (*pb.ListDevicesResponse, error) {
	list, err := s.b.Devices(ctx)
	if err != nil {
		return nil, err
	}
	resp := &pb.ListDevicesResponse{}
	for _, info := range list {
		resp.Devices = append(resp.Devices, s.encode(info))
	}
	return resp, nil
}

func (s *service) encode(info backend.DeviceInfo) *pb.DeviceInfo {
	info.Backend = s.b.Name()
	return wire.EncodeDevice(info)
}

func (s *service) OpenDevice(ctx context.Context, req *pb.OpenDeviceRequest) (*pb.OpenDeviceResponse, error) {
	var info *pb.DeviceInfo
	err := s.make(req.GetDevice(), nil, func() (io.Closer, error) {
		dev, err := s.b.Open(ctx, req.GetDeviceId())
		if err != nil {
			return nil, err
		}
		info = s.encode(dev.Info())
		return dev, nil
	})
	return &pb.OpenDeviceResponse{Info: info}, err
}

// make makes an object of that id.
func (s *service) make(id uint64, device *object, do func() (io.Closer, error)) error {
	done, err := s.objects.reserve(id, device)
	if err != nil {
		return err
	}
	var value io.Closer
	defer func() { done(value) }() // after a panic too
	made, err := do()
	if err == nil {
		value = made
	}
	return err
}

func (s *service) Supports(_ context.Context, req *pb.SupportsRequest) (*pb.SupportsResponse, error) {
	if n := len(req.GetNodes()); n > wire.MaxSupportsNodes {
		return nil, fmt.Errorf("supports: %w: want at most %d nodes, got %d", wire.ErrInvalid, wire.MaxSupportsNodes, n)
	}
	o, dev, err := use[backend.Device](&s.objects, req.GetDevice())
	if err != nil {
		return nil, err
	}
	defer s.objects.release(o)
	resp := &pb.SupportsResponse{}
	for _, q := range req.GetNodes() {
		err := s.supports(dev, q)
		if errors.Is(err, backend.ErrClosed) || errors.Is(err, backend.ErrDeviceLost) {
			return nil, err // no answer about the node
		}
		resp.Answers = append(resp.Answers, wire.EncodeMessage(err))
	}
	return resp, nil
}

func (s *service) supports(dev backend.Device, q *pb.NodeQuery) error {
	n, err := wire.DecodeNode(q)
	if err != nil { // a node that cannot be, or one of a later version: both are refused
		return fmt.Errorf("%w: %w", backend.ErrUnsupported, err)
	}
	return dev.Supports(n)
}

func (s *service) OpenRegion(_ context.Context, req *pb.OpenRegionRequest) (*pb.OpenRegionResponse, error) {
	resp := &pb.OpenRegionResponse{}
	var refusal error
	err := s.make(req.GetRegion(), nil, func() (io.Closer, error) {
		r, err := shm.Open(req.GetPath(), req.GetSize(), req.GetNonce())
		if refusal = err; err != nil {
			return nil, err
		}
		return r, nil
	})
	if refusal != nil {
		resp.Reason = refusal.Error()
		return resp, nil
	}
	resp.Accepted = err == nil
	return resp, err
}

func (s *service) Close(ctx context.Context, req *pb.CloseRequest) (*pb.CloseResponse, error) {
	return &pb.CloseResponse{}, s.objects.close(ctx, req.GetObject())
}
