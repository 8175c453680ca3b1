//! `wasi:sockets/tcp`: what a guest does with its sockets, one call at a time.

use super::View;
use super::bindings::wasi::sockets::tcp::{Host, HostTcpSocket, ShutdownType};
use super::option::{self, Options};
use super::socket::Socket;
use crate::meter::Kind;
use std::net::SocketAddr;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Network,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, SocketResult, subscribe};

impl View<'_> {
    fn options(&mut self, this: &Resource<Socket>) -> SocketResult<&mut Options> {
        Ok(&mut self.table.get_mut(this)?.options)
    }
}

type Streams = (Resource<DynInputStream>, Resource<DynOutputStream>);

impl Host for View<'_> {}

impl HostTcpSocket for View<'_> {
    fn start_bind(
        &mut self,
        this: Resource<Socket>,
        network: Resource<Network>,
        local: IpSocketAddress,
    ) -> SocketResult<()> {
        self.table.get(&network)?;
        let bound = self.table.get_mut(&this)?.start_bind(local.into());
        if bound == Err(ErrorCode::AccessDenied) {
            let target = format!("binding to {}", SocketAddr::from(local));
            self.connections.meter.denied(Kind::Tcp, &target);
        }
        Ok(bound?)
    }

    fn finish_bind(&mut self, this: Resource<Socket>) -> SocketResult<()> {
        Ok(self.table.get_mut(&this)?.finish_bind()?)
    }

    fn start_connect(
        &mut self,
        this: Resource<Socket>,
        network: Resource<Network>,
        remote: IpSocketAddress,
    ) -> SocketResult<()> {
        self.table.get(&network)?;
        let remote = SocketAddr::from(remote);
        let socket = self.table.get_mut(&this)?;
        socket.check_connect(remote)?;
        socket.start_connect(self.connections.attempt(remote));
        Ok(())
    }

    fn finish_connect(&mut self, this: Resource<Socket>) -> SocketResult<Streams> {
        let socket = self.table.get_mut(&this)?;
        let (input, output) = socket.finish_connect(&self.connections.meter)?;
        let (input, output): (DynInputStream, DynOutputStream) =
            (Box::new(input), Box::new(output));
        let input = self.table.push_child(input, &this)?;
        Ok((input, self.table.push_child(output, &this)?))
    }

    fn start_listen(&mut self, _: Resource<Socket>) -> SocketResult<()> {
        self.connections.meter.denied(Kind::Tcp, "listening");
        Err(ErrorCode::AccessDenied.into())
    }

    fn finish_listen(&mut self, _: Resource<Socket>) -> SocketResult<()> {
        Err(ErrorCode::NotInProgress.into())
    }

    fn accept(
        &mut self,
        _: Resource<Socket>,
    ) -> SocketResult<(
        Resource<Socket>,
        Resource<DynInputStream>,
        Resource<DynOutputStream>,
    )> {
        Err(ErrorCode::InvalidState.into())
    }

    fn local_address(&mut self, this: Resource<Socket>) -> SocketResult<IpSocketAddress> {
        Ok(self.table.get(&this)?.local()?.into())
    }

    fn remote_address(&mut self, this: Resource<Socket>) -> SocketResult<IpSocketAddress> {
        Ok(self.table.get(&this)?.remote()?.into())
    }

    fn is_listening(&mut self, _: Resource<Socket>) -> wasmtime::Result<bool> {
        Ok(false)
    }

    fn address_family(&mut self, this: Resource<Socket>) -> wasmtime::Result<IpAddressFamily> {
        Ok(self.table.get(&this)?.family)
    }

    fn set_listen_backlog_size(&mut self, this: Resource<Socket>, value: u64) -> SocketResult<()> {
        option::positive(value)?;
        Ok(self.table.get(&this)?.check_backlog()?)
    }

    fn keep_alive_enabled(&mut self, this: Resource<Socket>) -> SocketResult<bool> {
        Ok(self.options(&this)?.keep_alive)
    }

    fn set_keep_alive_enabled(&mut self, this: Resource<Socket>, value: bool) -> SocketResult<()> {
        self.options(&this)?.keep_alive = value;
        Ok(())
    }

    fn keep_alive_idle_time(&mut self, this: Resource<Socket>) -> SocketResult<u64> {
        Ok(self.options(&this)?.idle)
    }

    fn set_keep_alive_idle_time(&mut self, this: Resource<Socket>, value: u64) -> SocketResult<()> {
        self.options(&this)?.idle = option::wait(value)?;
        Ok(())
    }

    fn keep_alive_interval(&mut self, this: Resource<Socket>) -> SocketResult<u64> {
        Ok(self.options(&this)?.interval)
    }

    fn set_keep_alive_interval(&mut self, this: Resource<Socket>, value: u64) -> SocketResult<()> {
        self.options(&this)?.interval = option::wait(value)?;
        Ok(())
    }

    fn keep_alive_count(&mut self, this: Resource<Socket>) -> SocketResult<u32> {
        Ok(self.options(&this)?.count)
    }

    fn set_keep_alive_count(&mut self, this: Resource<Socket>, value: u32) -> SocketResult<()> {
        self.options(&this)?.count = option::count(value)?;
        Ok(())
    }

    fn hop_limit(&mut self, this: Resource<Socket>) -> SocketResult<u8> {
        Ok(self.options(&this)?.hop_limit)
    }

    fn set_hop_limit(&mut self, this: Resource<Socket>, value: u8) -> SocketResult<()> {
        self.options(&this)?.hop_limit = option::positive(value)?;
        Ok(())
    }

    fn receive_buffer_size(&mut self, this: Resource<Socket>) -> SocketResult<u64> {
        Ok(self.options(&this)?.receive_buffer)
    }

    fn set_receive_buffer_size(&mut self, this: Resource<Socket>, value: u64) -> SocketResult<()> {
        self.options(&this)?.receive_buffer = option::buffer(value)?;
        Ok(())
    }

    fn send_buffer_size(&mut self, this: Resource<Socket>) -> SocketResult<u64> {
        Ok(self.options(&this)?.send_buffer)
    }

    fn set_send_buffer_size(&mut self, this: Resource<Socket>, value: u64) -> SocketResult<()> {
        self.options(&this)?.send_buffer = option::buffer(value)?;
        Ok(())
    }

    fn subscribe(&mut self, this: Resource<Socket>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, this)
    }

    fn shutdown(&mut self, this: Resource<Socket>, what: ShutdownType) -> SocketResult<()> {
        Ok(self.table.get(&this)?.shutdown(what)?)
    }

    async fn drop(&mut self, this: Resource<Socket>) -> wasmtime::Result<()> {
        self.table.delete(this)?.close().await;
        Ok(())
    }
}
