//! PyTorch files against the same tensors written by the safetensors Python package.

mod support;

use serin_checkpoint::{CheckpointError, WeightFiles};
use support::fixture;

fn assert_same(torch_file: &str, expected_file: &str) {
    let torch = WeightFiles::open(&fixture(torch_file)).unwrap();
    let expected = WeightFiles::open(&fixture(expected_file)).unwrap();
    assert_eq!(torch.len(), expected.len(), "{torch_file}");
    for view in expected.views() {
        let ours = torch.get(view.name).unwrap_or_else(|| panic!("{torch_file} lacks {}", view.name));
        assert_eq!((ours.dtype, &ours.shape, ours.data), (view.dtype, &view.shape, view.data), "{}", view.name);
    }
}

#[test]
fn zip_file_reads_as_pytorch_wrote_it() {
    assert_same("zip.bin", "expected.safetensors");
}

#[test]
fn pickle_protocol_4_reads_the_same() {
    assert_same("zip_protocol4.bin", "expected.safetensors");
}

#[test]
fn nested_state_dict_is_unwrapped() {
    assert_same("nested.bin", "expected.safetensors");
}

#[test]
fn legacy_file_reads_the_same() {
    assert_same("legacy.bin", "expected.safetensors");
}

#[test]
fn module_state_with_metadata_attribute_reads() {
    assert_same("module_state.bin", "module_state.safetensors");
}

#[test]
fn tensors_keep_the_order_of_the_state_dict() {
    let torch = WeightFiles::open(&fixture("zip.bin")).unwrap();
    let names: Vec<&str> = torch.views().map(|view| view.name).collect();
    assert_eq!(&names[..5], ["float", "half", "bfloat", "double", "position_ids"]);
}

#[test]
fn big_endian_file_is_refused() {
    let error = WeightFiles::open(&fixture("big_endian.bin")).unwrap_err();
    assert!(error.to_string().contains("big-endian"), "{error}");
}

fn refused_global(path: &std::path::Path) -> String {
    match WeightFiles::open(path) {
        Err(CheckpointError::RefusedGlobal { global, .. }) => global,
        other => panic!("{}: not refused: {other:?}", path.display()),
    }
}

#[test]
fn code_in_real_torch_files_is_refused_by_name() {
    assert_eq!(refused_global(&fixture("malicious.bin")), "posix.system");
    assert_eq!(refused_global(&fixture("malicious_legacy.bin")), "posix.system");
}

#[test]
fn whole_modules_are_refused_by_name() {
    assert_eq!(refused_global(&fixture("module.bin")), "torch.nn.modules.container.Sequential");
}

fn open_bytes(bytes: &[u8]) -> Result<WeightFiles, CheckpointError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pytorch_model.bin");
    std::fs::write(&path, bytes).unwrap();
    WeightFiles::open(folder.path())
}

/// `pickle.dumps` of protocol 2 with the given body.
fn pickle(body: &[u8]) -> Vec<u8> {
    [b"\x80\x02", body, b"."].concat()
}

#[test]
fn every_way_to_name_code_is_refused_by_name() {
    let attacks: [(&str, &[u8], &str); 7] = [
        ("GLOBAL, REDUCE", b"cos\nsystem\nX\x02\0\0\0id\x85R", "os.system"),
        ("STACK_GLOBAL", b"\x8c\x02os\x8c\x06system\x93X\x02\0\0\0id\x85R", "os.system"),
        ("INST", b"(X\x02\0\0\0idios\nsystem\n", "os.system"),
        ("OBJ", b"(cos\nsystem\nX\x02\0\0\0ido", "os.system"),
        ("NEWOBJ", b"csubprocess\nPopen\nX\x02\0\0\0id\x85\x81", "subprocess.Popen"),
        ("EXT1", b"\x82\x01", "something from the extension registry (opcode EXT)"),
        ("dotted name", b"\x8c\x05torch\x8c\x10serialization.os\x93", "torch.serialization.os"),
    ];
    for (what, body, expected) in attacks {
        let error = open_bytes(&pickle(body)).unwrap_err();
        match &error {
            CheckpointError::RefusedGlobal { global, .. } => assert_eq!(global, expected, "{what}"),
            other => panic!("{what}: {other}"),
        }
        assert!(error.to_string().contains(&format!("wants to run {expected}: refused")), "{error}");
    }
}

#[test]
fn allowed_globals_cannot_be_abused() {
    let attacks: [(&str, &[u8], &str); 9] = [
        ("BUILD on a function", b"ctorch._utils\n_rebuild_tensor_v2\n}b", "BUILD of a class or function"),
        ("BUILD with a non-dict", b"ccollections\nOrderedDict\n)RK\x01b", "from an integer"),
        ("NEWOBJ of an allowed class", b"ccollections\nOrderedDict\n)\x81", "NEWOBJ"),
        ("OBJ of an allowed class", b"(ccollections\nOrderedDict\no", "OBJ"),
        ("a tensor without storage", b"ctorch._utils\n_rebuild_tensor_v2\n(K\0K\0))tR", "instead of a storage"),
        ("a persistent id of text", b"X\x01\0\0\0aQ", "not a tuple"),
        ("calling a text", b"X\x01\0\0\0a)R", "REDUCE needs a function"),
        ("an unknown memo", b"h\x07", "never stored"),
        ("items for a tuple", b")K\x01a", "items are added to a tuple"),
    ];
    for (what, body, expected) in attacks {
        let error = open_bytes(&pickle(body)).unwrap_err();
        assert!(error.to_string().contains(expected), "{what}: {error}");
    }
}

#[test]
fn deep_nesting_and_cycles_end_in_an_error_or_a_value() {
    // 300,000 tuples inside each other, then a list that holds itself.
    let deep = pickle(&[b")".as_slice(), &[0x85; 300_000]].concat());
    assert!(open_bytes(&deep).unwrap_err().to_string().contains("plain pickle"));
    assert!(open_bytes(&pickle(b"]q\x01h\x01a")).unwrap_err().to_string().contains("plain pickle"));
    let marks = pickle(&vec![b'('; 2_000_000]);
    assert!(open_bytes(&marks).unwrap_err().to_string().contains("too many marks"));
    let values = pickle(&vec![b'N'; 2_000_000]);
    assert!(open_bytes(&values).unwrap_err().to_string().contains("more than 1000000 values"));
}

/// A zip checkpoint of one float storage of six elements, described by the caller's offset, size, stride.
fn strided(offset: i32, size: &[i32], stride: &[i32]) -> Vec<u8> {
    let integer = |number: i32| [b"J".as_slice(), &number.to_le_bytes()].concat();
    let tuple = |numbers: &[i32]| {
        let items: Vec<u8> = numbers.iter().flat_map(|&number| integer(number)).collect();
        [b"(".as_slice(), &items, b"t"].concat()
    };
    let storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x06tQ";
    let body = [
        b"}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n(".as_slice(),
        storage,
        &integer(offset),
        &tuple(size),
        &tuple(stride),
        b"\x89NtRs",
    ];
    let floats: Vec<u8> = (0..6).flat_map(|number| (number as f32).to_le_bytes()).collect();
    zip(&[("m/data.pkl", &pickle(&body.concat())), ("m/data/0", &floats)])
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    use std::io::Write;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in entries {
        writer.start_file(*name, stored).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn strides_inside_the_storage_are_read_and_all_others_refused() {
    let weights = open_bytes(&strided(1, &[2, 2], &[1, 3])).unwrap();
    let view = weights.get("w").unwrap();
    assert_eq!(serin_checkpoint::tensors::read_f32(&view).unwrap(), [1.0, 4.0, 2.0, 5.0]);

    let max = i32::MAX;
    let attacks: [(i32, &[i32], &[i32], &str); 9] = [
        (0, &[7], &[1], "reach element 6 of a storage of 6"),
        (5, &[2], &[1], "reach element 6"),
        (-1, &[2], &[1], "a storage offset is -1"),
        (0, &[-2], &[1], "a shape is -2"),
        (0, &[2], &[-1], "a stride is -1"),
        (0, &[2, 2], &[1], "2 dimensions but 1 strides"),
        (0, &[max, max, max, max], &[0, 0, 0, 0], "overflow"),
        (0, &[max], &[0], "expanding it is refused"),
        (0, &[1; 9], &[1; 9], "more than 8 dimensions"),
    ];
    for (offset, size, stride, expected) in attacks {
        let error = open_bytes(&strided(offset, size, stride)).unwrap_err();
        assert!(error.to_string().contains(expected), "{size:?} {stride:?}: {error}");
    }
    // The stride of a dimension of one element is never used, whatever it is.
    assert!(open_bytes(&strided(0, &[1, 2, 2], &[max, 1, 2])).is_ok());
}

#[test]
fn foreign_archives_say_what_they_are() {
    let cases = [
        (zip(&[("readme.txt", b"hello")]), "not one of torch.save"),
        (zip(&[("m/data.pkl", b"\x80\x02}."), ("m/constants.pkl", b"")]), "TorchScript"),
        (zip(&[("m/data.pkl", b"\x80\x02}.")]), "no named tensors"),
        (zip(&[("m/data.pkl", b"\x80\x02K\x01.")]), "not a dict of tensors"),
    ];
    for (archive, expected) in cases {
        let error = open_bytes(&archive).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
