//! A network for a function with `tcp` grants: the function's place in a VPC, and what leads out of it.

use super::super::Facts;
use super::super::iam;
use super::super::reach::{Endpoint, Network, Tcp};
use super::super::text::{camel, comment, fill, yaml};
use super::{Part, statements};

/// What the template has beside, where connections are granted.
pub(super) fn part(facts: &Facts) -> Part {
    let reach = &facts.reach;
    let endpoints = reach.endpoints();
    let has_interfaces = endpoints
        .iter()
        .any(|endpoint| matches!(endpoint, Endpoint::Interface(_)));
    let mut part = Part {
        metadata: METADATA.to_owned(),
        parameters: PARAMETERS.to_owned(),
        conditions: CONDITIONS.to_owned(),
        rules: RULES.to_owned(),
        properties: PROPERTIES.to_owned(),
        policies: fill(POLICIES, &[("statements", &statements(&iam::network()))]),
        ..Part::default()
    };
    if has_interfaces {
        part.parameters.push_str(INTERFACE_PARAMETERS);
        part.conditions.push_str(INTERFACE_CONDITIONS);
    }
    let outward = reach.tcp.iter().map(egress).collect::<String>();
    let notes = notes(facts);
    part.resources = fill(RESOURCES, &[("egress", &outward), ("notes", &notes)]);
    if has_interfaces {
        part.resources.push_str(INTERFACE_RESOURCES);
    }
    let endpoints = endpoints.into_iter().map(endpoint);
    part.resources.extend(endpoints);
    part
}

/// One rule of the security group for one grant.
fn egress(tcp: &Tcp) -> String {
    let (from, to) = tcp.port.map_or((0, u16::MAX), |port| (port, port));
    let place = match &tcp.network {
        Some(Network::V4(network)) => format!("CidrIp: {network}"),
        Some(Network::V6(network)) => format!("CidrIpv6: {}", yaml(network)),
        None => "CidrIp: !Ref TcpCidr".to_owned(),
    };
    fill(
        "# <<grant>>\n- IpProtocol: tcp\n  FromPort: <<from>>\n  ToPort: <<to>>\n  <<place>>\n",
        &[
            ("grant", &comment(&tcp.text)),
            ("from", &from.to_string()),
            ("to", &to.to_string()),
            ("place", &place),
        ],
    )
}

/// What this template cannot do about a function's way out.
fn notes(facts: &Facts) -> String {
    let mut notes = String::new();
    for service in facts.reach.unknown_services() {
        notes.push_str(&format!(
            "# Requests to {} take an interface endpoint of that service, or a NAT gateway.\n",
            comment(service)
        ));
    }
    if facts.reach.http {
        notes.push_str(
            "# Requests of the grant `http` to the internet take subnets with a NAT gateway.\n",
        );
    }
    notes
}

fn endpoint(endpoint: Endpoint) -> String {
    let (name, text) = match endpoint {
        Endpoint::Gateway(name) => (name, GATEWAY),
        Endpoint::Interface(name) => (name, INTERFACE),
    };
    fill(text, &[("name", name), ("Name", &camel(name))])
}

const METADATA: &str = r#"
Metadata:
  cfn-lint:
    config:
      # What is empty where there is no VPC is no subnet and no network.
      ignore_checks: [W1030]
"#;

const PARAMETERS: &str = r#"# The grant `tcp`: a database is commonly reached from inside of its VPC only.
VpcId:
  Type: String
  Default: ""
  Description: The VPC that granted connections are made from; empty for none.
SubnetIds:
  Type: CommaDelimitedList
  Default: ""
  Description: The function's subnets in that VPC, private ones, in two zones at least.
TcpCidr:
  Type: String
  Default: ""
  Description: Where hosts are that the grant tcp names by name, such as the VPC's 10.0.0.0/16.
RouteTableIds:
  Type: CommaDelimitedList
  Default: ""
  Description: Route tables of these subnets, to which gateway endpoints are added; empty where the VPC has them.
"#;

const INTERFACE_PARAMETERS: &str = r#"InterfaceEndpoints:
  Type: String
  Default: create
  AllowedValues: [create, exist]
  Description: Whether interface endpoints are made; they exist, or a NAT gateway does, or requests wait without an answer.
"#;

const CONDITIONS: &str = r#"InVpc: !Not [!Equals [!Ref VpcId, ""]]
MakesGatewayEndpoints: !And
  - !Condition InVpc
  - !Not [!Equals [!Join ["", !Ref RouteTableIds], ""]]
"#;

const INTERFACE_CONDITIONS: &str = r#"MakesInterfaceEndpoints: !And
  - !Condition InVpc
  - !Equals [!Ref InterfaceEndpoints, create]
"#;

const RULES: &str = r#"  NetworkIsWhole:
    RuleCondition: !Not [!Equals [!Ref VpcId, ""]]
    Assertions:
      - Assert: !Not [!Equals [!Ref TcpCidr, ""]]
        AssertDescription: With VpcId, TcpCidr says where granted hosts are.
"#;

const PROPERTIES: &str = r#"VpcConfig: !If
  - InVpc
  - SubnetIds: !Ref SubnetIds
    SecurityGroupIds: [!GetAtt HostSecurityGroup.GroupId]
  - !Ref "AWS::NoValue"
"#;

const POLICIES: &str = r#"- !If
  - InVpc
  - PolicyName: network
    PolicyDocument:
      Version: "2012-10-17"
      Statement:
        <<statements>>
  - !Ref "AWS::NoValue"
"#;

const RESOURCES: &str = r#"
# Which connections a guest makes is for the host to keep, by the grants; these rules keep the host.
HostSecurityGroup:
  Type: AWS::EC2::SecurityGroup
  Condition: InVpc
  Properties:
    GroupDescription: A function host and what it connects to
    VpcId: !Ref VpcId
    SecurityGroupEgress:
      <<egress>>
      # The store, and other services of AWS: their addresses change. Narrow it to S3's prefix list where you have its id.
      - IpProtocol: tcp
        FromPort: 443
        ToPort: 443
        CidrIp: 0.0.0.0/0

# Without it nothing in these subnets reaches S3, so neither does the host its store: no answer comes, not even a refusal,
# until the host gives up (Crunchbox.StoreUnreachable).
<<notes>>
S3Endpoint:
  Type: AWS::EC2::VPCEndpoint
  Condition: MakesGatewayEndpoints
  Properties:
    VpcEndpointType: Gateway
    ServiceName: !Sub "com.amazonaws.${AWS::Region}.s3"
    VpcId: !Ref VpcId
    RouteTableIds: !Ref RouteTableIds
"#;

const GATEWAY: &str = r#"
<<Name>>Endpoint:
  Type: AWS::EC2::VPCEndpoint
  Condition: MakesGatewayEndpoints
  Properties:
    VpcEndpointType: Gateway
    ServiceName: !Sub "com.amazonaws.${AWS::Region}.<<name>>"
    VpcId: !Ref VpcId
    RouteTableIds: !Ref RouteTableIds
"#;

const INTERFACE_RESOURCES: &str = r#"
EndpointSecurityGroup:
  Type: AWS::EC2::SecurityGroup
  Condition: MakesInterfaceEndpoints
  Properties:
    GroupDescription: Endpoints of AWS that a function host asks
    VpcId: !Ref VpcId
    SecurityGroupIngress:
      - IpProtocol: tcp
        FromPort: 443
        ToPort: 443
        SourceSecurityGroupId: !GetAtt HostSecurityGroup.GroupId
"#;

const INTERFACE: &str = r#"
<<Name>>Endpoint:
  Type: AWS::EC2::VPCEndpoint
  Condition: MakesInterfaceEndpoints
  Properties:
    VpcEndpointType: Interface
    ServiceName: !Sub "com.amazonaws.${AWS::Region}.<<name>>"
    VpcId: !Ref VpcId
    SubnetIds: !Ref SubnetIds
    SecurityGroupIds: [!GetAtt EndpointSecurityGroup.GroupId]
    PrivateDnsEnabled: true
"#;
