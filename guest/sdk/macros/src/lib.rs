//! The attribute `#[handler]`; use it through `crunchbox_sdk`, which documents it.

use proc_macro::TokenStream;
use quote::quote;
use syn::{ItemFn, parse_macro_input};

/// Makes a plain function the handler of a component; see `crunchbox_sdk::handler`.
#[proc_macro_attribute]
pub fn handler(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    let attribute = attribute.to_string();
    let run = match attribute.as_str() {
        "" => quote!(run),
        "raw" => quote!(run_raw),
        other => {
            return refuse(
                &function,
                &format!("expected `#[handler]` or `#[handler(raw)]`, got `{other}`"),
            );
        }
    };
    if function.sig.asyncness.is_some() {
        return refuse(
            &function,
            "expected a plain function: an event has an instance of its own, so nothing else could run meanwhile",
        );
    }
    let name = &function.sig.ident;
    let call = match function.sig.inputs.len() {
        1 => quote!(|event, _context| #name(event)),
        2 => quote!(#name),
        _ => return refuse(&function, "expected `fn(event)` or `fn(event, context)`"),
    };
    quote! {
        #function

        // Natively nothing calls it but tests; the function is in use all the same.
        #[cfg(not(target_arch = "wasm32"))]
        const _: () = {
            let _ = #name;
        };

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;
            impl ::crunchbox_sdk::__private::Guest for Component {
                fn handle(event: ::std::string::String)
                    -> ::core::result::Result<::std::string::String, ::crunchbox_sdk::__private::WitFailure> {
                    ::crunchbox_sdk::__private::#run(event, #call)
                }
            }
            ::crunchbox_sdk::__private::export!(Component with_types_in ::crunchbox_sdk::__private::bindings);
        };
    }
    .into()
}

fn refuse(function: &ItemFn, problem: &str) -> TokenStream {
    syn::Error::new_spanned(&function.sig, problem)
        .into_compile_error()
        .into()
}
