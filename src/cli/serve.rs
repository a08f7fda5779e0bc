//! `serve`: the engine for a team. It runs every experiment of the store until it is told to end.

use super::archive::Policy;
use super::args::{Common, Serve};
use super::{control, interrupt, output, store};
use crate::error::{Failure, exit};
use crate::http::History;
use crate::http::access::Access;
use crate::http::listen::{self, Connections, Working};
use crate::http::server::{App, Parts, router};
use crate::notify::Courier;
use crate::runtime::limits::Limits;
use crate::runtime::shell::{Runtime, now};
use crate::secrets::{self, Vault};
use crate::traces;
use crate::views::figures;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// How long requests under way are waited for at the end.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long notifications are waited for at the end; what is not delivered by then is left to the next process.
const NOTIFYING: Duration = Duration::from_secs(5);
/// How long the collector of traces is waited for at the end.
const TRACING: Duration = Duration::from_secs(5);

/// `serve`
pub fn serve(common: &Common, options: &Serve) -> Result<u8, Failure> {
    let access = options.access.as_deref().map_or(Ok(Access::default()), Access::read)?;
    if access.is_open() && !options.listen.ip().is_loopback() {
        return Err(Failure {
            code: Some(crate::codes::BAD_ACCESS.to_string()),
            ..Failure::new(
                exit::USAGE,
                format!("{} can be reached from elsewhere, and there are no users", options.listen),
                "name them with `--access FILE` (see docs/daemon.md), or listen on 127.0.0.1",
            )
        });
    }
    let tls = match (&options.tls_certificate, &options.tls_key) {
        (Some(certificate), Some(key)) => Some(listen::tls(certificate, key)?),
        _ => None,
    };
    // Before there is anything that has to be ended in good order: a folder elsewhere may give no answer.
    let policy = policy(common, options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(run(common, options, access, tls, policy));
    // Calls of backends that are still under way are of no further use.
    runtime.shutdown_background();
    result
}

async fn run(
    common: &Common,
    options: &Serve,
    access: Access,
    tls: Option<TlsAcceptor>,
    policy: Option<Policy>,
) -> Result<u8, Failure> {
    let mut signals = interrupt::signals();
    let traces = traces::Sender::start();
    let listener =
        TcpListener::bind(options.listen).await.map_err(|error| cannot_listen(options.listen, &error))?;
    let address = listener.local_addr().map_err(|error| cannot_listen(options.listen, &error))?;
    let (mut dispatcher, mut report) = store::dispatcher(common, true)?;
    let leaving = policy.as_ref().map_or(0, |policy| policy.leaving(dispatcher.state(), now()).len());
    if let Some(policy) = policy.filter(|_| leaving > 0) {
        drop(dispatcher);
        tracing::warn!(
            "what ended long ago leaves for an archive in {}, {}: nobody is served until that is done",
            policy.folder.display(),
            figures::count(leaving as u64, "experiment")
        );
        let archiving = archived(common.clone(), policy);
        tokio::select! {
            // A kill at any moment leaves one of both histories, and so does the end of this process.
            _ = signals.recv() => return Ok(exit::DONE),
            () = archiving => {}
        }
        (dispatcher, report) = store::dispatcher(common, true)?;
    }
    secrets::forget(&Vault::of(&common.store), dispatcher.state(), now());
    dispatcher.isolate();
    dispatcher.bound(Limits {
        backends: options.limit.iter().cloned().collect(),
        each_user: options.limit_per_user,
        users: access.max_trials().clone(),
    });
    tracing::info!(records = report.head.0, elapsed = ?report.elapsed, "the store is open");
    let history = Arc::new(History::of(dispatcher.state()));
    let backends = crate::backends_of(&common.store)?;
    let (engine, handle) = Runtime::new(dispatcher, backends.clone());
    let metrics = engine.metrics();
    let courier = Courier::start(&common.store, handle.clone());
    let mut engine = tokio::spawn(engine.run());
    let socket = control::listen(&common.store, handle.clone(), true);
    let (end, ending) = watch::channel(false);
    let app = Arc::new(App::new(Parts {
        handle: handle.clone(),
        store: common.store.clone(),
        history,
        backends,
        access,
        allow_local: !options.no_local,
        pace: options.requests_per_second,
        metrics,
        ending: ending.clone(),
    }));
    let mut told = ending;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let connections =
        Connections::new(listener, tls).map_err(|error| cannot_listen(options.listen, &error))?;
    let service = router(app).into_make_service_with_connect_info::<Working>();
    let server = axum::serve(connections, service).with_graceful_shutdown(async move {
        // Nobody can end it if the sender is gone: then it ends as well.
        let _ = told.wait_for(|ending| *ending).await;
    });
    let mut server = tokio::spawn(async move { server.await });
    if common.json {
        output::json(&json!({"listening": format!("{scheme}://{address}"), "store": common.store}))?;
    } else {
        output::line(&format!("serving {} at {scheme}://{address}", common.store.display()))?;
    }
    let failed = tokio::select! {
        _ = signals.recv() => None,
        ended = &mut engine => Some(ended),
    };
    let _ = end.send(true);
    if tokio::time::timeout(PATIENCE, &mut server).await.is_err() {
        server.abort();
    }
    drop(socket);
    let ended = match failed {
        Some(ended) => ended,
        None => {
            courier.finish(NOTIFYING).await;
            handle.close().await;
            engine.await
        }
    };
    if let Some(traces) = traces {
        traces.finish(TRACING).await;
    }
    match ended {
        Ok(Ok(())) => Ok(exit::DONE),
        Ok(Err(fatal)) => Err(fatal.into()),
        Err(error) => Err(Failure::new(exit::FAILED, format!("the engine failed: {error}"), "")),
    }
}

/// What leaves at the start, and where to. Says so at once if nothing could be written there.
fn policy(common: &Common, options: &Serve) -> Result<Option<Policy>, Failure> {
    let (Some(age), Some(folder)) = (options.archive_ended_before, options.archive_folder.clone()) else {
        return Ok(None);
    };
    let policy = Policy::new(&common.store, age, folder)?;
    if policy.folder.is_dir() {
        return Ok(Some(policy));
    }
    tracing::warn!(
        "{} is no folder, and no experiment leaves for an archive: make it, owned by the daemon's user, and start the daemon again",
        policy.folder.display()
    );
    Ok(None)
}

/// Lets experiments leave, on a thread. Without that the daemon works as well, with the store as it was.
async fn archived(common: Common, policy: Policy) {
    let done = tokio::task::spawn_blocking(move || policy.follow(&common)).await;
    let failure = match done {
        Ok(Ok(None)) => return,
        Ok(Ok(Some(file))) => {
            tracing::warn!("what ended long ago has left for {}", file.display());
            return;
        }
        Ok(Err(failure)) => failure,
        Err(error) => Failure::new(exit::FAILED, error.to_string(), "please report it"),
    };
    tracing::warn!(
        "experiments that ended long ago could not leave for an archive, and the daemon goes on without that: {}; {}",
        failure.message,
        failure.cure
    );
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    Failure {
        code: Some(crate::codes::CANNOT_LISTEN.to_string()),
        ..Failure::new(
            exit::FAILED,
            format!("cannot listen on {address}: {error}"),
            "another program may listen there: name another address with `--listen`",
        )
    }
}
