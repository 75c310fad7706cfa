//! Decoding what was encoded gives the same value, over the binary format and over `ProtoJSON`; decoding anything else
//! gives an error, never a panic.

mod generated;

use generated::{declared, report};
use parallax_model::{Account, PathReport, Round, Target};
use parallax_wire::pb::{self, link};
use parallax_wire::{check_account, check_target, decode_offer, encode_offer};
use proptest::prelude::{ProptestConfig, any, prop_assert_eq};
use proptest::{collection::vec, proptest};
use prost::Message as _;

/// Through the binary format and back.
fn resent<M: prost::Message + Default>(message: &M) -> M {
    M::decode(message.encode_to_vec().as_slice()).expect("what was encoded")
}

/// Through `ProtoJSON` and back.
fn reread<M: serde::Serialize + serde::de::DeserializeOwned>(message: &M) -> M {
    let json = serde_json::to_string(message).expect("JSON");
    serde_json::from_str(&json).expect("what was written")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_report_comes_back(value in report()) {
        let message = pb::PathReport::from(&value);
        prop_assert_eq!(PathReport::try_from(resent(&message)), Ok(value.clone()));
        prop_assert_eq!(PathReport::try_from(reread(&message)), Ok(value.clone()));
    }

    #[test]
    fn a_round_comes_back(number in 1..5_u32, reports in vec(report(), 0..3)) {
        let value = Round { number, reports };
        prop_assert_eq!(Round::try_from(resent(&pb::Round::from(&value))), Ok(value));
    }

    #[test]
    fn a_target_comes_back(value in declared::target()) {
        let message = pb::Target::from(&value);
        prop_assert_eq!(check_target(&resent(&message)), Ok(value.clone()));
        prop_assert_eq!(Target::try_from(&reread(&message)), Ok(value.clone()));
    }

    #[test]
    fn an_account_comes_back(value in declared::account()) {
        let message = pb::Account::from(&value);
        prop_assert_eq!(check_account(&resent(&message)), Ok(value.clone()));
        prop_assert_eq!(Account::try_from(&reread(&message)), Ok(value.clone()));
    }

    #[test]
    fn a_task_comes_back(value in declared::task()) {
        let message = encode_offer(&value, link::Lane::OnDemand, "");
        prop_assert_eq!(decode_offer(resent(&message)), Ok(value));
    }

    /// Whatever bytes a peer sends: those that are a message at all are read, or refused with a field's name.
    #[test]
    fn any_bytes_are_no_panic(bytes in vec(any::<u8>(), 0..256)) {
        if let Ok(message) = pb::PathReport::decode(bytes.as_slice()) {
            let _ = PathReport::try_from(message);
        }
        if let Ok(message) = link::Offer::decode(bytes.as_slice()) {
            let _ = decode_offer(message);
        }
        if let Ok(message) = pb::Target::decode(bytes.as_slice()) {
            let _ = check_target(&message);
        }
        if let Ok(message) = pb::Account::decode(bytes.as_slice()) {
            let _ = check_account(&message);
        }
    }

    /// Good messages with some bytes changed get further than arbitrary ones.
    #[test]
    fn damaged_messages_are_no_panic(
        value in report(),
        task in declared::task(),
        damage in vec((any::<usize>(), any::<u8>()), 1..8),
    ) {
        let damaged = |mut bytes: Vec<u8>| {
            for (at, byte) in &damage {
                let length = bytes.len();
                bytes[at % length] = *byte;
            }
            bytes
        };
        let bytes = damaged(pb::PathReport::from(&value).encode_to_vec());
        if let Ok(message) = pb::PathReport::decode(bytes.as_slice()) {
            let _ = PathReport::try_from(message);
        }
        let bytes = damaged(encode_offer(&task, link::Lane::OnDemand, "").encode_to_vec());
        if let Ok(message) = link::Offer::decode(bytes.as_slice()) {
            let _ = decode_offer(message);
        }
    }
}
