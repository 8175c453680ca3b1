//! A network for a function with `tcp` grants: the function's place in a VPC, and what leads out of it.

use super::super::Facts;
use super::super::iam;
use super::super::reach::{Endpoint, Network, Tcp};
use super::super::text::{comment, fill, hcl};
use super::statements;

/// What the configuration has beside, where connections are granted.
pub(super) fn part(facts: &Facts) -> String {
    let reach = &facts.reach;
    let outward = reach.tcp.iter().map(egress).collect::<String>();
    let (mut gateways, mut interfaces) = (vec![hcl("s3")], Vec::new());
    for endpoint in reach.endpoints() {
        match endpoint {
            Endpoint::Gateway(name) => gateways.push(hcl(name)),
            Endpoint::Interface(name) => interfaces.push(hcl(name)),
        }
    }
    let is_wide = reach.http || !interfaces.is_empty() || reach.unknown_services().next().is_some();
    let mut part = fill(
        NETWORK,
        &[
            ("statements", &statements(&iam::network())),
            ("egress", &outward),
            ("wide", if is_wide { WIDE } else { "" }),
            ("notes", &notes(facts)),
            ("gateways", &gateways.join(", ")),
        ],
    );
    if !interfaces.is_empty() {
        let names = interfaces.join(", ");
        part.push_str(&fill(INTERFACES, &[("names", &names)]));
    }
    part
}

/// One rule of the security group for one grant.
fn egress(tcp: &Tcp) -> String {
    let (from, to) = tcp.port.map_or((0, u16::MAX), |port| (port, port));
    let (blocks, place) = match &tcp.network {
        Some(Network::V4(network)) => ("cidr_blocks", hcl(network)),
        Some(Network::V6(network)) => ("ipv6_cidr_blocks", hcl(network)),
        None => ("cidr_blocks", "local.tcp_cidr".to_owned()),
    };
    let width = blocks.len();
    let key = |key: &str, value: &str| format!("{key:<width$} = {value}\n");
    let keys = [
        key("protocol", "\"tcp\""),
        key("from_port", &from.to_string()),
        key("to_port", &to.to_string()),
        key(blocks, &format!("[{place}]")),
    ];
    fill(
        "# <<grant>>\negress {\n  <<keys>>\n}\n",
        &[("grant", &comment(&tcp.text)), ("keys", &keys.concat())],
    )
}

/// What this configuration cannot do about a function's way out.
fn notes(facts: &Facts) -> String {
    let services = facts.reach.unknown_services().map(|service| {
        format!(
            "# Requests to {} take an interface endpoint of that service, or a NAT gateway.\n",
            comment(service)
        )
    });
    let mut notes = services.collect::<String>();
    if facts.reach.http {
        notes.push_str(
            "# Requests of the grant `http` to the internet take subnets with a NAT gateway.\n",
        );
    }
    notes
}

pub(super) const VPC_CONFIG: &str = r#"
dynamic "vpc_config" {
  for_each = var.vpc_id == null ? [] : [var.vpc_id]
  content {
    subnet_ids         = var.subnet_ids
    security_group_ids = [aws_security_group.host[0].id]
  }
}
"#;

pub(super) const DEPENDS: &str = "aws_iam_role_policy.network,\n";

const WIDE: &str = r#"# Interface endpoints, or what is behind a NAT gateway.
egress {
  protocol    = "tcp"
  from_port   = 443
  to_port     = 443
  cidr_blocks = ["0.0.0.0/0"]
}
"#;

const NETWORK: &str = r##"
# The grant `tcp`: a database is commonly reached from inside of its VPC only.
variable "vpc_id" {
  description = "The VPC that granted connections are made from; null for none."
  type        = string
  default     = null
}

variable "subnet_ids" {
  description = "The function's subnets in that VPC, private ones, in two zones at least."
  type        = list(string)
  default     = []
  validation {
    condition     = var.vpc_id == null || length(var.subnet_ids) > 0
    error_message = "A function in a VPC takes subnets."
  }
}

variable "tcp_cidr" {
  description = "Where hosts are that the grant tcp names by name; null for all of the VPC."
  type        = string
  default     = null
}

variable "route_table_ids" {
  description = "Route tables of these subnets, to which gateway endpoints are added; empty where the VPC has them."
  type        = list(string)
  default     = []
}

data "aws_vpc" "host" {
  count = var.vpc_id == null ? 0 : 1
  id    = var.vpc_id
}

locals {
  tcp_cidr = var.vpc_id == null ? null : coalesce(var.tcp_cidr, data.aws_vpc.host[0].cidr_block)
  gateways = var.vpc_id == null ? toset([]) : toset([<<gateways>>])
}

data "aws_prefix_list" "gateway" {
  for_each = local.gateways
  name     = "com.amazonaws.${local.region}.${each.value}"
}

resource "aws_iam_role_policy" "network" {
  count = var.vpc_id == null ? 0 : 1
  name  = "network"
  role  = aws_iam_role.host.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      <<statements>>
    ]
  })
}

# Which connections a guest makes is for the host to keep, by the grants; these rules keep the host.
resource "aws_security_group" "host" {
  count       = var.vpc_id == null ? 0 : 1
  name_prefix = "${local.name}-"
  description = "A function host and what it connects to"
  vpc_id      = var.vpc_id

  <<egress>>
  # The store, and what else has a gateway endpoint.
  egress {
    protocol        = "tcp"
    from_port       = 443
    to_port         = 443
    prefix_list_ids = [for list in data.aws_prefix_list.gateway : list.id]
  }
  <<wide>>
}

# Without that of S3 nothing in these subnets reaches S3, so neither does the host its store: no answer comes, not even a
# refusal, until the host gives up (Crunchbox.StoreUnreachable).
<<notes>>
resource "aws_vpc_endpoint" "gateway" {
  for_each          = length(var.route_table_ids) == 0 ? toset([]) : local.gateways
  vpc_endpoint_type = "Gateway"
  service_name      = "com.amazonaws.${local.region}.${each.value}"
  vpc_id            = var.vpc_id
  route_table_ids   = var.route_table_ids
}
"##;

const INTERFACES: &str = r#"
variable "interface_endpoints" {
  description = "Whether interface endpoints are made; they exist, or a NAT gateway does, or requests wait without an answer."
  type        = bool
  default     = true
}

locals {
  interfaces = var.vpc_id != null && var.interface_endpoints ? toset([<<names>>]) : toset([])
}

resource "aws_security_group" "endpoint" {
  count       = length(local.interfaces) == 0 ? 0 : 1
  name_prefix = "${local.name}-endpoint-"
  description = "Endpoints of AWS that a function host asks"
  vpc_id      = var.vpc_id
  ingress {
    protocol        = "tcp"
    from_port       = 443
    to_port         = 443
    security_groups = [aws_security_group.host[0].id]
  }
}

resource "aws_vpc_endpoint" "interface" {
  for_each            = local.interfaces
  vpc_endpoint_type   = "Interface"
  service_name        = "com.amazonaws.${local.region}.${each.value}"
  vpc_id              = var.vpc_id
  subnet_ids          = var.subnet_ids
  security_group_ids  = [aws_security_group.endpoint[0].id]
  private_dns_enabled = true
}
"#;
