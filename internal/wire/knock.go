package wire

// SecretSize is the length of a nonce and of a MAC, in bytes.
const SecretSize = 32

// Knock is what a dialer with a token says first, where no TLS that the token has
// made is around the session.
type Knock struct {
	Nonce [SecretSize]byte
	Role  Role // of the dialer
}

// Challenge is the answer of a listener with a token: what it asks for, and the
// proof that it has the token itself.
type Challenge struct {
	Nonce [SecretSize]byte
	Role  Role // of the listener
	MAC   [SecretSize]byte
}

// Response is the dialer's proof.
type Response struct {
	MAC [SecretSize]byte
}

// EncodeKnock returns a Knock message.
func EncodeKnock(k *Knock) *Buffer {
	b := newMessage(TypeKnock, SecretSize+1)
	b.Append(k.Nonce[:]...)
	b.Append(byte(k.Role))
	return b
}

// DecodeKnock takes a Knock message apart.
func DecodeKnock(body []byte) (k Knock, err error) {
	r := &reader{b: body}
	copy(k.Nonce[:], r.bytes(SecretSize))
	k.Role = r.role()
	return k, r.end()
}

// EncodeChallenge returns a Challenge message.
func EncodeChallenge(c *Challenge) *Buffer {
	b := newMessage(TypeChallenge, 2*SecretSize+1)
	b.Append(c.Nonce[:]...)
	b.Append(byte(c.Role))
	b.Append(c.MAC[:]...)
	return b
}

// DecodeChallenge takes a Challenge message apart.
func DecodeChallenge(body []byte) (c Challenge, err error) {
	r := &reader{b: body}
	copy(c.Nonce[:], r.bytes(SecretSize))
	c.Role = r.role()
	copy(c.MAC[:], r.bytes(SecretSize))
	return c, r.end()
}

// EncodeResponse returns a Response message.
func EncodeResponse(p *Response) *Buffer {
	b := newMessage(TypeResponse, SecretSize)
	b.Append(p.MAC[:]...)
	return b
}

// DecodeResponse takes a Response message apart.
func DecodeResponse(body []byte) (p Response, err error) {
	r := &reader{b: body}
	copy(p.MAC[:], r.bytes(SecretSize))
	return p, r.end()
}

func (r *reader) role() Role {
	role := Role(r.byte())
	if r.err == nil && role != Role_SENDER && role != Role_RECEIVER {
		r.fail("role")
	}
	return role
}
