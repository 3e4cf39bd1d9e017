// Loaded before the client (node --require): whatever is not this machine is refused, and noted in $ONLY_LOOPBACK.
"use strict";
const dns = require("node:dns");
const fs = require("node:fs");
const net = require("node:net");

const here = new Set(["127.0.0.1", "::1", "localhost"]);
const connect = net.Socket.prototype.connect;
const lookup = dns.lookup;

function refuse(host) {
  fs.appendFileSync(process.env.ONLY_LOOPBACK, `${host}\n`);
  throw Object.assign(new Error(`only loopback: ${host}`), { code: "ECONNREFUSED" });
}

dns.lookup = function (host, ...rest) {
  return here.has(host) ? lookup.call(this, host, ...rest) : refuse(host);
};
net.Socket.prototype.connect = function (...rest) {
  const options = Array.isArray(rest[0]) ? rest[0][0] : rest[0];
  const host = typeof options === "object" ? options.host ?? options.path : rest[1];
  return here.has(host) ? connect.apply(this, rest) : refuse(String(host));
};
