// Package wire translates between the Go types of resnet-run and the messages of the plugin protocol, for both ends of
// a connection: package plugins/host and the plugins that package plugins serves. docs/plugin-protocol.md is the manual
// of the protocol.
//
// # What it promises
//
// A graph that is encoded and decoded is the same graph: same text, same parameter data. What comes from the other side
// is taken for hostile: a decoder returns an error and uses memory in proportion to the bytes it was given, and a graph
// that it returns passes [graph.Graph.Validate]. An error that is encoded and decoded is found by errors.Is and
// errors.As as before.
//
// # What it does not do
//
// It starts no process, opens no connection, maps no memory and keeps no objects by id.
package wire

// What the two ends must agree on before they speak the protocol.
const (
	// ProtocolVersion is the major version: APP-PROTOCOL-VERSION of the handshake line, and v1 in the package name.
	ProtocolVersion = 1
	// CookieKey and CookieValue are in a plugin's environment when a host starts it. They tell a plugin that was started
	// by hand from one that was not, and protect nothing.
	CookieKey   = "RESNET_RUN_PLUGIN"
	CookieValue = "5d0f2c6e1b7a4893a1c4e07d36f28b95"
	// PluginName is the one entry of the plugin set of go-plugin.
	PluginName = "backend"
)

// The limits of the protocol. Encoders keep them, decoders enforce them.
const (
	MaxChunkBytes    = 1 << 20  // of data in one message
	MaxMessageBytes  = 4 << 20  // of one message; gRPC's own default, so that nobody has to raise it
	MaxSupportsNodes = 256      // in one SupportsRequest
	MaxTextBytes     = 1024     // of an error's message
	MaxNodeInputs    = 1024     // of a node, so that one fits in a message; only Concat has more than a few
	MaxValues        = 1 << 18  // inputs, parameters and nodes of a graph together
	MaxGraphBytes    = 64 << 20 // of the structure of a graph in all its messages
	RegionUnit       = 1 << 16  // regions are whole multiples of so many bytes
	NonceBytes       = 32       // of a region
	maxFieldBytes    = 256      // of a field of ShapeError
)
